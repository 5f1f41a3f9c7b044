"""What counts as a change of code."""

import functools
import io
import itertools
import shutil
import tokenize

import pytest

from reasonmaxxer import codehash, config
from reasonmaxxer.config.section import Section


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "reasonmaxxer"
    shutil.copytree(codehash.PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(codehash, "PACKAGE", folder)

    def edit(module: str, old: str, new: str) -> None:
        path = folder / f"{module}.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    cached = ("_source", "_nodes", "_exists", "_imports", "_significant")

    def forget() -> None:
        for function in cached:
            getattr(codehash, function).cache_clear()

    def digest(module: str) -> str:
        forget()
        return codehash.code_hash(module)

    yield edit, digest
    forget()


def test_comments_docstrings_and_blank_lines_do_not_count(package):
    edit, digest = package
    before = digest("rollouts")
    edit("engine", '"""Generation: vLLM', '"""Generating: vLLM')
    edit("engine", "SEED_SPACING = 1 << 20", "\n\nSEED_SPACING = 1 << 20  # a remark")
    assert digest("rollouts") == before


def test_code_counts_in_every_stage_that_imports_it(package):
    edit, digest = package
    before = {stage: digest(stage) for stage in ("rollouts", "adapter", "selection", "report.page")}
    edit("engine", "SEED_SPACING = 1 << 20", "SEED_SPACING = 1 << 21")
    after = {stage: digest(stage) for stage in before}
    changed = {stage for stage in before if before[stage] != after[stage]}
    assert changed == {"rollouts", "adapter"}


def test_a_new_config_key_changes_no_code_hash(package):
    edit, digest = package
    before = digest("rollouts")
    edit(
        "config/inputs",
        "class ModelConfig(Section):",
        "class ModelConfig(Section):\n    x: int = 0\n",
    )
    assert digest("rollouts") == before


def test_what_a_stage_works_out_of_its_section_counts(package):
    edit, digest = package
    stages = ("training", "grpo", "distillation", "adapter", "rollouts", "selection")
    before = {stage: digest(stage) for stage in stages}
    edit("schedule", "alpha=2 * distillation.rank", "alpha=3 * distillation.rank")
    after = {stage: digest(stage) for stage in stages}
    changed = {stage for stage in stages if before[stage] != after[stage]}
    assert changed == {"training", "grpo", "distillation", "adapter"}


def test_sections_of_stages_work_nothing_out_themselves():
    """They are no part of the hash, and only their keys are among a rule's params."""
    modules = (config.stages, config.inputs, config.footprint)
    sections = {
        value for module in modules for value in vars(module).values() if isinstance(value, type)
    }
    assert len(sections) > 15
    public = {
        f"{section.__name__}.{name}"
        for section in sections
        if section.__module__.startswith(config.__name__) and section is not Section
        for name, value in vars(section).items()
        if callable(value) or isinstance(value, property | functools.cached_property)
        if not name.startswith("_")
    }
    assert public == set()


def test_a_better_verifier_makes_nobody_sample_again():
    assert "verifier.judge" in codehash.closure("evaluation")
    assert "verifier.judge" in codehash.closure("verdicts")
    assert "verifier.judge" not in codehash.closure("rollouts")
    assert "verifier.judge" not in codehash.closure("problems")
    assert "verifier.judge" not in codehash.closure("entropies")


def test_only_what_pythons_tokenizer_calls_a_comment_is_left_out(package):
    """The hash looks for comments by itself, since it must be fast."""
    for path in sorted(codehash.PACKAGE.rglob("*.py")):
        source = path.read_text()
        starts = [0, *itertools.accumulate(map(len, source.splitlines(keepends=True)))]
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        comments = [t.start for t in tokens if t.type == tokenize.COMMENT]
        assert codehash._comments(source) == [starts[row - 1] + column for row, column in comments]


@pytest.mark.parametrize(
    "line", ["X = '#1'", 'X = f"{1}#"', "X = '''\n# no comment\n'''", "X = '\\'#'"]
)
def test_a_hash_sign_in_a_string_counts(package, line):
    edit, digest = package
    edit("engine", "SEED_SPACING", f"{line}\nSEED_SPACING")
    before = digest("rollouts")
    edit("engine", line, line.replace("#", "# and more"))
    assert digest("rollouts") != before
