"""docs/reruns.md, row by row: what an edit of each key of the config runs again.

The run that is edited has every kind of source, arm and analysis. Its jobs are stand-ins that
write their outputs and nothing in them: Snakemake's records are real, and only they are asked.
"""

import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml
from config_edits import KEYS, copy_of, edited, everything
from conftest import Project
from dry_runs import DryRuns, jobs_in
from project_copy import ROOT, copy_of_the_project
from source_edits import rename_modules, reworded

from reasonmaxxer import __main__ as commands
from reasonmaxxer import tables
from reasonmaxxer.registry import STAGES as REGISTERED

# In place of `python -m reasonmaxxer`: the rules' table of commands, and files that exist.
STAND_IN = """
import shutil
import sys
from pathlib import Path

COMMANDS = {commands!r}
ADAPTER = ("adapter_model.safetensors", "adapter_config.json", "README.md")
MODEL = ("model.safetensors", "config.json")


def make(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        shutil.copyfile("stand-in.parquet", path)
    else:
        path.write_text(str(path))


if __name__ == "__main__":
    for before, word in zip(sys.argv, sys.argv[1:]):
        path = Path(word)
        if before == "--out" and not path.suffix:
            for name in (*ADAPTER, *MODEL):
                make(path / name)
        elif word.startswith("results/") and "/scratch/" not in word and not path.exists():
            make(path)
"""


class EveryStage:
    """A project in which a run of stand-ins has finished, and dry runs of edited configs."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(copy_of_the_project(folder))
        self.config = everything(yaml.safe_load((ROOT / "config/test.yaml").read_text()))
        self.file = folder / "edited.yaml"
        made_by = {"versions": {"torch": "1.0"}}
        tables.write(folder / "stand-in.parquet", "problems", [], made_by)
        self.run(self.config)
        self.dry_runs = DryRuns(folder)

    def run(self, config: dict) -> None:
        """Run it by stand-ins."""
        self.write(config)
        module = self.project.folder / "workflow/reasonmaxxer/__main__.py"
        kept = module.read_text()
        module.write_text(STAND_IN.format(commands=commands.COMMANDS))
        self.project.snakemake("--configfile", "edited.yaml", "--resources", "mem_mb=100000")
        module.write_text(kept)

    def write(self, config: dict) -> None:
        self.file.write_text(yaml.safe_dump(config, sort_keys=False))

    def ask(self, config: dict, code_changed: bool = False) -> str:
        self.write(config)
        arguments = ("--quiet", "rules", "--configfile", self.file.name)
        return self.dry_runs.ask(*arguments, code_changed=code_changed)

    def stages(self, config: dict, code_changed: bool = False) -> set[str]:
        """The stages that would run again."""
        found = set(jobs_in(self.ask(config, code_changed)))
        return {stage for stage, jobs in STAGES.items() if found.intersection(jobs)}


STAGES = {name: stage.rules for name, stage in REGISTERED.items()}


def table() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """docs/reruns.md: pattern of keys -> stages; and what its words stand for."""
    words: dict[str, set[str]] = {stage: {stage} for stage in STAGES} | {"nothing": set()}
    rows = {}
    for line in (ROOT / "docs/reruns.md").read_text().splitlines():
        first, last = (line.strip("|").split("|")[place].strip() for place in (0, -1))
        if line.startswith("| *"):
            words[first.strip("*")] = named(last, words)
        elif line.startswith("| `"):
            rows |= {pattern: named(last, words) for pattern in re.findall(r"`([^`]+)`", first)}
    return rows, words


def named(cell: str, words: dict[str, set[str]]) -> set[str]:
    return set().union(*(words[word.strip(" *")] for word in cell.split(",")))


ROWS, WORDS = table()


def row_of(key: str) -> str:
    """The row of a key: the longest pattern that fits."""
    found = [row for row in ROWS if fnmatchcase(key, row.replace("[", "[[]"))]
    assert found, f"{key}: no row of docs/reruns.md says what it runs again"
    return max(found, key=len)


# Nothing depends on the resources, so those of all stages are edited at once. Where no job may take
# a GPU, there is no other value.
EDITS: dict[str, list[str]] = {}
for name in KEYS:
    if name in ("resources.verdicts.gpu", "resources.cpu.gpu"):
        continue
    section, _, leaf = name.partition(".")
    EDITS.setdefault(
        f"resources.*.{leaf.split('.')[1]}" if section == "resources" else name, []
    ).append(name)


@pytest.fixture(scope="module")
def every_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EveryStage]:
    made = EveryStage(tmp_path_factory.mktemp("every-stage"))
    yield made
    made.dry_runs.close()


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_a_key_runs_again_what_the_table_says(every_stage, edit):
    config = every_stage.config
    for key in EDITS[edit]:
        config = edited(config, key)
    assert config != every_stage.config
    assert every_stage.stages(config) == ROWS[row_of(edit)]


def test_every_row_of_the_table_is_of_some_key():
    assert set(ROWS) == {row_of(key) for key in KEYS}


def test_an_upgrade_is_said_and_runs_nothing_again(every_stage):
    said = every_stage.ask(every_stage.config)
    assert jobs_in(said) == {}
    assert (
        "rollouts, entropies, training, grpo, checkpoint, evaluation with torch 1.0 (now " in said
    )
    assert "snakemake --cores all -R rollouts" in said


def test_the_order_of_keys_runs_nothing_again(every_stage):
    assert every_stage.stages(turned_round(every_stage.config)) == set()


def turned_round(config: dict, path: tuple = ()) -> dict:
    """Keys in the opposite order, but for the arms and benchmarks: theirs is the page's."""
    order = list if path in (("arms",), ("benchmarks",)) else reversed
    return {
        key: turned_round(config[key], (*path, key))
        if isinstance(config[key], dict)
        else config[key]
        for key in order(list(config))
    }


def test_another_order_of_arms_redoes_the_page_alone(every_stage):
    arms = dict(reversed(every_stage.config["arms"].items()))
    assert every_stage.stages({**every_stage.config, "arms": arms}) == {"metrics", "report"}


# --- edits of our code ------------------------------------------------------------------------

# What is edited, in which file of the package, and what runs again, in the words of the table.
TRAINING = "distillation, *training on*"
INTERVALS = "checkpoint, distillation, *evaluations*"
SAMPLING = "rollouts, verdicts, entropies, footprint, pivotality, memorization, distillation"
COMPUTATION = {
    "the loss": ("method/objectives.py", "MAX_RATIO = 20.0", "MAX_RATIO = 9.0", TRAINING),
    "the anchor": ("training/loss.py", "ANCHOR_STEP = 64", "ANCHOR_STEP = 32", TRAINING),
    "the order": ("training/dataset.py", "argsort(-magn", "argsort(magn", TRAINING),
    "the trainer": ("training/trainer.py", "KEPT_SHARE = 0.5", "KEPT_SHARE = 0.4", TRAINING),
    "the advantages": ("method/advantages.py", "EPS = 1e-6", "EPS = 1e-5", "*selection on*"),
    "the credit": ("method/credit.py", "place + 1", "place + 2", "*selection on*"),
    "a gate": ("method/gates.py", "arange(len(at.above))", "arange(9)", "*selection on*"),
    "an audit": ("stages/selection.py", "THRESHOLD = 0.03", "THRESHOLD = 0.1", "*selection on*"),
    "the scorer": (
        *("stages/entropies.py", "PART_TOKENS = 1 << 17", "PART_TOKENS = 1 << 9"),
        "entropies, pivotality, *selection on*",
    ),
    "sampling": (
        *("generation/engine.py", "SEED_SPACING = 1 << 20", "SEED_SPACING = 1 << 21"),
        f"{SAMPLING}, *selection on*",
    ),
    "sentences": (
        *("verifier/extraction/sentences.py", "import re", "import re\n\nJOINED = None"),
        "grpo, verdicts, interventions, pivotality, distillation, *selection on*",
    ),
    "a reader": (
        *("datasets/readers.py", 'DELIMITERS = (",", ', 'DELIMITERS = (",", "|", '),
        f"problems, decontaminate, preflight, grpo, interventions, {SAMPLING}, *selection on*",
    ),
    "the overlap": (
        *("datasets/overlap.py", "NFKC", "NFC"),
        f"decontaminate, preflight, grpo, {SAMPLING}, *selection on*".replace("memorization, ", ""),
    ),
    "GRPO": (
        *("stages/grpo.py", "SAVE_SECONDS = 120.0", "SAVE_SECONDS = 60.0"),
        "grpo, checkpoint, distillation, evaluation, *figures*",
    ),
    "distillation": (
        *("stages/distillation.py", "config.top_k, batch", "1, batch"),
        "distillation, evaluation, *figures*",
    ),
    "a copied text": (
        *("stages/memorization.py", "config.tail", "0.5 * config.tail"),
        "memorization, *figures*",
    ),
    "the footprint": (
        *("stages/footprint.py", "ROWS_A_PART = 512", "ROWS_A_PART = 64"),
        "footprint, *figures*",
    ),
    "interventions": (
        *("stages/interventions.py", "digest[:6]", "digest[:5]"),
        "interventions, *figures*",
    ),
    "two readings": (
        *("stages/side_by_side.py", "TOKENS = 600", "TOKENS = 60"),
        "side_by_side, *figures*",
    ),
    "the preflight": ("stages/preflight.py", '"logit_scale", ', "", "preflight"),
    "the intervals": ("analysis/statistics.py", "LEVEL = 0.95", "LEVEL = 0.9", INTERVALS),
    "the claims": ("analysis/claims.py", "MARGIN = 0.03", "MARGIN = 0.02", "*figures*"),
    "a chart": ("report/spec.py", '"size": 60', '"size": 61', "report"),
    "an error's class": (
        "training/dataset.py",
        "raise UserError(",
        "raise ValueError(",
        "*training on*",
    ),
}


# What the rules import besides.
IMPORTED = {"pretrain", "dimensions", "reuse", "code_hash", "model_card", "registry", "errors"}


@pytest.fixture
def package(every_stage, tmp_path) -> Iterator[Path]:
    """The package in the project, put right again after the test."""
    package = every_stage.project.folder / "workflow/reasonmaxxer"
    shutil.copytree(package, tmp_path / "kept")
    yield package
    shutil.rmtree(package)
    shutil.copytree(tmp_path / "kept", package)


@pytest.mark.parametrize("edit", COMPUTATION)
def test_an_edit_of_what_is_computed_runs_again_what_it_can_change(every_stage, package, edit):
    name, old, new, expected = COMPUTATION[edit]
    text = (package / name).read_text()
    assert old in text
    (package / name).write_text(text.replace(old, new, 1))
    assert every_stage.stages(every_stage.config, code_changed=True) == named(expected, WORDS)


def test_other_words_types_and_layout_run_nothing_again(every_stage, package):
    files = [path for path in package.rglob("*.py") if path.read_text().strip()]
    for path in files:
        path.write_text(reworded(path.read_text()))
    assert len(files) > 100
    assert every_stage.stages(every_stage.config, code_changed=True) == set()


def test_other_names_of_modules_run_nothing_again(every_stage, package):
    """All but those that others name: the stages' commands, and what the Snakefile imports."""
    names = rename_modules(package, leave={"stages", "graph", *IMPORTED})
    assert len(names) > 70
    assert every_stage.stages(every_stage.config, code_changed=True) == set()


def test_going_back_draws_no_sample_and_trains_no_arm_that_was_left_out(every_stage):
    """Really run, by stand-ins: the last test."""
    other = copy_of(every_stage.config)
    other["rollouts"]["samples"] = 8
    del other["arms"]["kl"], other["benchmarks"]["hub"]
    every_stage.run(other)
    drawn = {"rollouts", "verdicts", "entropies"}
    expected = ROWS["rollouts.samples"] - drawn | {"decontaminate", "preflight", "memorization"}
    assert every_stage.stages(every_stage.config) == expected
