"""A job that was done before is not done again: real runs of edited code, and their logs."""

from pathlib import Path

import pytest
from conftest import Project

TAKEN = "taken from an earlier job"


def taken(project: Project, rule: str) -> set[bool]:
    """Whether the last jobs of a rule took their files from earlier ones, by their logs."""
    folder = project.folder / "results/test/logs"
    logs = [*folder.glob(f"{rule}.log"), *folder.glob(f"{rule}/*.log")]
    assert logs
    return {TAKEN in log.read_text() for log in logs}


def weights(project: Project) -> dict[str, int]:
    """The files of the checkpoints, as the disk knows them."""
    files = (project.folder / "results/test/training").rglob("*.safetensors")
    return {str(path): path.stat().st_ino for path in files}


@pytest.fixture
def edited(project):
    """What edits a file of the package, put right again after the test, results included."""
    kept: dict[Path, str] = {}

    def edit(name: str, old: str, new: str) -> None:
        path = project.folder / "workflow/reasonmaxxer" / name
        kept[path] = path.read_text()
        assert old in kept[path]
        path.write_text(kept[path].replace(old, new, 1))

    yield edit
    for path, text in kept.items():
        path.write_text(text)
    project.snakemake("--configfile", "config/test.yaml")


def test_verdicts_that_stay_the_same_train_nothing(project, edited):
    before = weights(project)
    edited(
        "stages/verdicts.py",
        "    total = tables.num_rows",
        "    assert path\n    total = tables.num_rows",
    )
    planned = project.would_run()
    assert {"judge_rollouts", "select_positions", "train_adapter"} <= planned.keys()
    assert "sample_rollouts" not in planned
    project.snakemake("--configfile", "config/test.yaml")
    assert taken(project, "judge_rollouts") == {False}
    assert taken(project, "select_positions") == {True}
    assert taken(project, "train_adapter") == {True}
    assert weights(project) == before
    assert project.would_run() == {}


def test_a_forced_stage_is_really_made_again(project):
    project.snakemake("--configfile", "config/test.yaml", "-R", "selection")
    assert taken(project, "select_positions") == {False}
    assert taken(project, "train_adapter") == {True}
    assert project.would_run() == {}


def test_a_changed_benchmark_is_sampled_alone_in_one_job_an_arm(project, edited):
    """The other benchmark's samples and the first block of its own come from the earlier job."""
    folder = project.folder / "results/test/evaluation/reasonmaxxer"
    before = {path: path.stat().st_ino for path in folder.rglob("*.completions.parquet")}
    files = project.config_files({"benchmarks": {"far": {"samples": 8}}})
    project.snakemake("--configfile", *files)
    made = {path: path.stat().st_ino for path in folder.rglob("*.completions.parquet")}
    assert {path: made[path] for path in before} == before
    assert [str(path.relative_to(folder)) for path in made.keys() - before.keys()] == [
        "far/s4-7.completions.parquet"
    ]
    for arm in ("reasonmaxxer", "random-gate"):
        log = project.folder / f"results/test/logs/sample_evaluation/{arm}.log"
        assert log.read_text().count(TAKEN) == 2
        assert "10/10" in log.read_text()  # problems sampled
