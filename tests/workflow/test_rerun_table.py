"""docs/reruns.md, row by row: what an edit of each key of the config runs again.

The run that is edited has every kind of source, arm and analysis. Its jobs are stand-ins that
write their outputs and nothing in them: Snakemake's records are real, and only they are asked.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml
from config_edits import KEYS, copy_of, edited, everything
from conftest import Project
from dry_runs import DryRuns, jobs_in
from project_copy import ROOT, copy_of_the_project

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

    def ask(self, config: dict) -> str:
        self.write(config)
        return self.dry_runs.ask("--quiet", "rules", "--configfile", self.file.name)

    def stages(self, config: dict) -> set[str]:
        """The stages that would run again."""
        found = set(jobs_in(self.ask(config)))
        return {stage for stage, jobs in STAGES.items() if found.intersection(jobs)}


STAGES = {name: stage.rules for name, stage in REGISTERED.items()}


def table() -> dict[str, set[str]]:
    """docs/reruns.md: pattern of keys -> stages."""
    words: dict[str, set[str]] = {stage: {stage} for stage in STAGES} | {"nothing": set()}
    rows = {}
    for line in (ROOT / "docs/reruns.md").read_text().splitlines():
        first, last = (line.strip("|").split("|")[place].strip() for place in (0, -1))
        if line.startswith("| *"):
            words[first.strip("*")] = named(last, words)
        elif line.startswith("| `"):
            rows |= {pattern: named(last, words) for pattern in re.findall(r"`([^`]+)`", first)}
    return rows


def named(cell: str, words: dict[str, set[str]]) -> set[str]:
    return set().union(*(words[word.strip(" *")] for word in cell.split(",")))


ROWS = table()


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


def test_going_back_draws_no_sample_and_trains_no_arm_that_was_left_out(every_stage):
    """Really run, by stand-ins: the last test."""
    other = copy_of(every_stage.config)
    other["rollouts"]["samples"] = 8
    del other["arms"]["kl"], other["benchmarks"]["hub"]
    every_stage.run(other)
    drawn = {"rollouts", "verdicts", "entropies"}
    expected = ROWS["rollouts.samples"] - drawn | {"decontaminate", "preflight", "memorization"}
    assert every_stage.stages(every_stage.config) == expected
