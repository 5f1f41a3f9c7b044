"""Public functions on tensors and arrays say shapes and what comes out, in one form."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import reasonmaxxer

PACKAGE = Path(reasonmaxxer.__file__).parent
STAGES = ("entropies", "selection", "footprint", "interventions", "pivotality", "distillation")
MODULES = sorted(
    [
        *PACKAGE.glob("modeling/*.py"),
        *PACKAGE.glob("training/*.py"),
        *PACKAGE.glob("generation/*.py"),
        *(PACKAGE / "stages" / f"{stage}.py" for stage in STAGES),
    ]
)
ARRAYS = re.compile(r"\b(Tensor|ndarray|NDArray)\b")
SHAPE = re.compile(r"\[(\.\.\.|\w+)?( ?[,*+] ?\w+)*\]")  # [], [T], [B, T, V], [..., V], [B * T]


def definitions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Public functions, classes and their public methods, by their name in the module."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            inner = node.body if isinstance(node, ast.ClassDef) else []
            for method in inner:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    yield f"{node.name}.{method.name}", method


def parameters(function: ast.FunctionDef) -> list[ast.arg]:
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    every += filter(None, [function.args.vararg])
    return [argument for argument in every if argument.annotation]


def on_arrays(annotation: ast.expr | None) -> bool:
    return annotation is not None and bool(ARRAYS.search(ast.unparse(annotation)))


def complaints(source: str) -> Iterator[str]:
    """What the docstrings of a module leave out."""
    lines = source.splitlines()
    for name, node in definitions(ast.parse(source)):
        doc = ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                bare = isinstance(field, ast.AnnAssign) and on_arrays(field.annotation)
                if bare and not SHAPE.search(lines[field.lineno - 1].partition("#")[2]):
                    yield f"{name}: a field without its shape: {ast.unparse(field)}"
            continue
        given = parameters(node)
        if not any(map(on_arrays, [*(argument.annotation for argument in given), node.returns])):
            continue
        if not SHAPE.search(doc):
            yield f"{name}: no shape"
        if doc.count("\n") == 0:
            continue
        said = doc.partition("Args:\n")[2]
        missing = [a.arg for a in given if not re.search(rf"^    {a.arg}: ", said, re.M)]
        if missing:
            yield f"{name}: Args without {', '.join(missing)}"
        returned = ast.unparse(node.returns) if node.returns else "None"
        if returned != "None" and "Returns:\n" not in doc:
            yield f"{name}: no Returns"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shapes_are_stated(path):
    assert list(complaints(path.read_text(encoding="utf-8"))) == []


def test_functions_on_tensors_are_found_and_their_faults_told():
    documented = {path.stem: path.read_text(encoding="utf-8") for path in MODULES}["lm_head"]
    assert list(complaints(documented.replace("Returns:\n        [N] float32", "A number"))) == [
        f"{name}: no Returns" for name in ("sampled_logprobs", "kl_divergence", "top_divergence")
    ]
    assert list(complaints(documented.replace("targets: [N] int64", "[N] int64"))) == [
        "score: Args without targets",
        "sampled_logprobs: Args without targets",
    ]
    assert list(complaints("def f(x: Tensor) -> None:\n    '''Of x.'''")) == ["f: no shape"]
    assert list(complaints("def f(x: Tensor) -> None:\n    '''Of x [N].'''")) == []
    assert list(complaints("class A:\n    x: np.ndarray")) == [
        "A: a field without its shape: x: np.ndarray"
    ]


def test_no_page_is_cited_that_the_project_does_not_hold():
    cited = re.compile(r"\b[A-Z]{4,}\.md\b")
    root = PACKAGE.parents[1]
    held = {path.name for path in [*root.glob("*.md"), *root.glob("*/*.md")]}
    missing = [
        f"{path.name}: {name}"
        for path in PACKAGE.rglob("*.py")
        for name in cited.findall(path.read_text(encoding="utf-8"))
        if name not in held
    ]
    assert missing == []
