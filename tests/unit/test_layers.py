"""The folders of the package: the lower ones never import the higher ones, and none is a heap."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import reasonmaxxer
from reasonmaxxer.registry import STAGES

PACKAGE = Path(reasonmaxxer.__file__).parent
# Lowest first. Code may import what stands in a lower line, or lies in its own folder; folders of
# one line do not import each other, so that there is no circle.
LAYERS = (
    ("__init__", "errors"),
    ("registry", "method"),
    ("config",),
    ("tables",),
    ("verifier",),
    ("lab",),
    ("datasets",),
    ("modeling",),
    ("generation",),
    ("training",),
    ("analysis",),
    ("report", "graph"),
    ("stages",),
    ("tools",),
    ("__main__",),
)
HEIGHT = {folder: height for height, layer in enumerate(LAYERS) for folder in layer}
# The figures of `metrics` come from tables, not from how an arm is trained or drawn.
ANALYSIS_IMPORTS = {
    *("errors", "registry", "method", "config", "tables", "modeling", "generation"),
}
MOST_MODULES = 20


def parts_of(path: Path) -> tuple[str, ...]:
    """A module's dotted name in the package, as its parts."""
    return path.relative_to(PACKAGE).with_suffix("").parts


def imports(path: Path, source: str) -> Iterator[tuple[str, ...]]:
    """The modules of the package, as parts, that a file imports at any place."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (tuple(name.name.split(".")[1:]) for name in node.names if ours(name.name))
        elif isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".") if node.module else ())
            if node.level:
                folder = parts_of(path)[:-1]
                base = folder[: len(folder) + 1 - node.level] + base
            elif ours(node.module or ""):
                base = base[1:]
            else:
                continue
            yield from ((*base, name.name) for name in node.names)


def ours(dotted: str) -> bool:
    return dotted.split(".")[0] == PACKAGE.name


def wrong(path: Path, source: str) -> list[str]:
    """The imports of a file that go upward, each as a sentence."""
    folder = parts_of(path)[0]
    return [
        f"{path.relative_to(PACKAGE)} imports {'.'.join(target)}, but {target[0]} does not stand "
        f"below {folder}: move what is needed down, or the code that needs it up"
        for target in imports(path, source)
        if target[0] != folder and HEIGHT[target[0]] >= HEIGHT[folder]
    ]


def test_every_folder_has_its_layer():
    there = {parts_of(path)[0] for path in PACKAGE.rglob("*.py")}
    assert there == HEIGHT.keys()


def test_no_folder_imports_a_higher_one():
    found = [
        line for path in sorted(PACKAGE.rglob("*.py")) for line in wrong(path, path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "from ..stages import report",
        "from .. import stages",
        "from ..graph.files import arm_folder",
        "import reasonmaxxer.stages.report",
        "def late():\n    from reasonmaxxer.tools.check import main",
    ],
)
def test_an_import_upward_or_sideways_is_found(line):
    assert wrong(PACKAGE / "report" / "view.py", line)


def test_the_analysis_knows_no_more_than_it_must():
    found = {
        target[0]
        for path in (PACKAGE / "analysis").glob("*.py")
        for target in imports(path, path.read_text())
    }
    assert found - {"analysis"} <= ANALYSIS_IMPORTS


def test_folders_stay_small_enough_to_be_read():
    """One file of `stages` is one stage: there may be more."""
    modules = {
        folder: {path.stem for path in folder.glob("*.py")} - {"__init__"}
        for folder in PACKAGE.rglob("*")
        if folder.is_dir()
    }
    assert modules.pop(PACKAGE / "stages") <= STAGES.keys()
    large = {folder.name: len(found) for folder, found in modules.items()}
    assert {name: count for name, count in large.items() if count > MOST_MODULES} == {}
