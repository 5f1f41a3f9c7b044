"""What counts as a change of the code behind a stage."""

import ast
import functools
import shutil

import pytest
from source_edits import rename_modules, reworded

from reasonmaxxer import config
from reasonmaxxer.__main__ import COMMANDS, STAGES
from reasonmaxxer.config.arms import SweepConfig
from reasonmaxxer.config.section import Section
from reasonmaxxer.tables import code_hash as codehash

SAMPLING = {"rollouts", "checkpoint", "evaluation", "memorization", "pivotality"}


class Package:
    """A copy of the package that a test may edit."""

    def __init__(self, folder):
        self.folder = folder

    def edit(self, module: str, old: str, new: str) -> None:
        path = self.folder / f"{module}.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def keys(self) -> dict[str, str]:
        codehash.forget()
        return {command: codehash.code_hash(module) for command, module in COMMANDS.items()}

    def changed(self, before: dict[str, str]) -> set[str]:
        now = self.keys()
        return {command for command in now if now[command] != before[command]} & STAGES.keys()


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "reasonmaxxer"
    shutil.copytree(codehash.PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(codehash, "PACKAGE", folder)
    yield Package(folder)
    codehash.forget()


def test_words_annotations_and_layout_change_no_key(package):
    """Every word of the package another one, every annotation gone, all of it laid out anew."""
    before = package.keys()
    changed = 0
    for path in package.folder.rglob("*.py"):
        text = path.read_text()
        new = reworded(text)
        changed += new != ast.unparse(ast.parse(text))
        path.write_text(new)
    assert changed > 60
    assert package.keys() == before


def test_code_counts_in_the_stages_that_use_it(package):
    before = package.keys()
    package.edit("generation/engine", "SEED_SPACING = 1 << 20", "SEED_SPACING = 1 << 21")
    assert package.changed(before) == SAMPLING


def test_a_constant_of_the_loss_is_none_of_the_scorers(package):
    before = package.keys()
    package.edit("method/objectives", "MAX_RATIO = 20.0", "MAX_RATIO = 9.0")
    assert package.changed(before) == {"training", "distillation"}


def test_names_of_modules_change_no_key(package):
    before = package.keys()
    names = rename_modules(package.folder)
    codehash.forget()
    for command, module in COMMANDS.items():
        assert codehash.code_hash(names[module]) == before[command], command


def test_a_definition_can_move_to_another_module(package):
    before = package.keys()
    path = package.folder / "generation" / "engine.py"
    text = path.read_text()
    path.write_text(text.replace("SEED_SPACING = 1 << 20\n", "from .spacing import SEED_SPACING\n"))
    (package.folder / "generation" / "spacing.py").write_text("SEED_SPACING = 1 << 20\n")
    assert package.keys() == before


def test_what_a_stage_works_out_of_its_section_counts(package):
    before = package.keys()
    package.edit(
        "training/lr_schedule", "alpha=2 * distillation.rank", "alpha=3 * distillation.rank"
    )
    assert package.changed(before) == {"distillation"}


def test_a_module_that_is_used_as_a_value_counts_whole(package):
    """The judge starts its worker by the module's name."""
    before = package.keys()
    package.edit("verifier/workers/worker", '"algebra failed: ', '"algebra broke: ')
    assert {"verdicts", "checkpoint", "grpo"} <= package.changed(before)


def test_what_runs_on_import_counts(package):
    before = package.keys()
    package.edit("generation/engine", "SEED_SPACING =", "X = {}\nX['x'] = 1\nSEED_SPACING =")
    assert package.changed(before) == SAMPLING | {"interventions", "footprint"}


def test_a_new_config_key_or_table_changes_no_key(package):
    before = package.keys()
    package.edit(
        "config/model", "class ModelConfig(Section):", "class ModelConfig(Section):\n    x = 0"
    )
    package.edit("tables/__init__", "SCHEMAS = {", "SCHEMAS = {'x': 0} | {")
    assert package.keys() == before


def test_sections_of_the_config_work_nothing_out_themselves():
    """They are no part of the key, and only their values are among a rule's params."""
    sections, waiting = set(), [Section]
    while waiting:
        section = waiting.pop()
        waiting += section.__subclasses__()
        sections |= {section} if section.__module__.startswith(config.__name__) else set()
    assert len(sections) > 20
    public = {
        f"{section.__name__}.{name}"
        for section in sections - {Section, config.Config, SweepConfig}
        for name, value in vars(section).items()
        if callable(value) or isinstance(value, property | functools.cached_property)
        if not name.startswith("_")
    }
    # What the Snakefile asks of them, which ends in no job.
    resources = {"ResourcesConfig.gpus", "ResourcesConfig.of"}
    assert public == resources | {"SelectionConfig.as_json", "SelectionConfig.draws"}


def test_a_better_verifier_makes_nobody_sample_again(package):
    before = package.keys()
    package.edit("verifier/limits", "MAX_DEPTH = 40", "MAX_DEPTH = 41")
    changed = package.changed(before)
    assert {"verdicts", "checkpoint"} <= changed
    assert changed.isdisjoint({"problems", "rollouts", "entropies", "selection", "training"})


@pytest.mark.parametrize(
    ("line", "other", "counts"),
    [
        ("X = 1", "X: int = 1", False),
        ("X = [1, 2]", "X = [\n    1,\n    2,\n]", False),
        ("X = 'a'", 'X = "a"', False),
        ("X = '#1'", "X = '#2'", True),
        ("X = 1", "X = 1.0", True),
        ("X = 1", "X = 1\nX += 1", True),
        ("X = dict(a=1, b=2)", "X = dict(b=2, a=1)", False),
        ("def X(n): return n", "def X(n: int) -> int: return n", False),
        ("def X(n): return n", "def X(n): return (n)", False),
        ("def X(n): return n", "def X(n=1): return n", True),
        ("def X(n): raise ValueError('a')", "def X(n): raise ValueError(f'{n}')", False),
        ("def X(n): raise ValueError('a')", "def X(n): raise KeyError('a')", True),
        ("def X(n): assert n, 'a'", "def X(n): assert n, 'b'", False),
        ("def X(n): print('a')", "def X(n): print('b')", False),
        ("def X(n): print('a', file=n)", "def X(n): print('b', file=n)", True),
        ("import math\nX = math.pi", "import math as m\nX = m.pi", False),
        ("from math import pi\nX = pi", "from math import pi as p\nX = p", False),
        ("from math import pi\nX = pi", "from math import tau\nX = tau", True),
    ],
)
def test_what_counts(package, line, other, counts):
    package.edit("generation/engine", "SEED_SPACING = 1 << 20", f"{line}\nSEED_SPACING = X")
    before = package.keys()
    package.edit("generation/engine", line, other)
    assert (package.keys() != before) == counts
