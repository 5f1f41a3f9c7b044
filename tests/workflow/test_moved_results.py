"""Results that were copied: what they were made from goes with them, and decides what runs."""

import shutil
from collections.abc import Iterator

import pytest
from conftest import Project
from dry_runs import DryRuns, jobs_in
from project_copy import copy_of_the_project

FASTER = {"training": {"learning_rate": 1.0e-3}}
COOLER = {"rollouts": {"temperature": 0.8}}


class Moved:
    """A project elsewhere with the results of the finished one, and what would run there."""

    def __init__(self, project: Project, made: Project) -> None:
        self.project = project
        results = project.folder / "results"
        ignored = shutil.ignore_patterns(".reuse")
        # Written anew, in any order: the times of the files say nothing.
        shutil.copytree(
            made.folder / "results", results, ignore=ignored, copy_function=shutil.copyfile
        )
        self.dry_runs = DryRuns(project.folder)

    def say(self, change: dict | None = None, *arguments: str) -> str:
        return self.dry_runs.ask(*arguments, "--configfile", *self.project.config_files(change))

    def would_run(self, change: dict | None = None, *arguments: str) -> dict[str, int]:
        return jobs_in(self.say(change, *arguments, "--quiet", "rules"))


@pytest.fixture(scope="module")
def moved(project, tmp_path_factory) -> Iterator[Moved]:
    folder = tmp_path_factory.mktemp("another machine")
    made = Moved(Project(copy_of_the_project(folder)), project)
    yield made
    made.dry_runs.close()


def test_the_same_config_runs_nothing_where_results_were_copied_to(moved):
    assert moved.would_run() == {}


def test_another_config_runs_there_what_it_changes(moved, project):
    jobs = moved.would_run(FASTER)
    assert jobs["train_adapter"] == jobs["choose_checkpoint"] == 2
    assert not {"sample_rollouts", "select_positions"} & jobs.keys()
    assert jobs == project.would_run(FASTER)


@pytest.mark.parametrize(
    "change", [{"rollouts": {"samples": 2}}, {"benchmarks": {"far": {"samples": 2}}}]
)
def test_fewer_samples_draw_nothing(moved, change):
    jobs = moved.would_run(change)
    assert jobs["compute_metrics"] == 1
    # Arms that are trained on other rollouts are evaluated anew.
    drawing = {rule for rule in jobs if rule.startswith("sample_")}
    assert drawing == ({"sample_evaluation"} if "rollouts" in change else set())


def test_the_plan_names_every_change(moved):
    checkpoint = {"checkpoint": {"min_parseable": 0.1}}
    said = moved.say({**COOLER, **FASTER, **checkpoint}, "--logger", "reasons")
    assert "rollouts of main: rollouts.temperature 0.6 -> 0.8" in said
    assert "training of random-gate, reasonmaxxer: training.learning_rate 0.0003 -> 0.001" in said
    assert "checkpoint of random-gate, reasonmaxxer: checkpoint.min_parseable 0.5 -> 0.1" in said
    assert said.count("temperature") == said.count("learning_rate") == 1


def test_a_file_of_which_nothing_is_known_is_made_again(moved):
    records = moved.project.folder / "results/test/.records"
    shutil.move(records, records.with_name("kept"))
    try:
        said = moved.say(None, "--logger", "reasons")
    finally:
        shutil.move(records.with_name("kept"), records)
    assert "problems: nothing says what it was made from" in said
    assert "rollouts" in said


def test_a_file_that_is_declared_valid_stays_so(moved):
    rollouts = "results/test/rollouts/main/p0-19.s0-3.parquet"
    assert moved.would_run(COOLER, rollouts) == {"sample_rollouts": 1}
    files = moved.project.config_files(COOLER)
    moved.project.snakemake("--cleanup-metadata", rollouts, "--configfile", *files)
    assert moved.would_run(COOLER, rollouts) == {}


def test_the_page_of_another_run_is_not_this_ones(checkout):
    page = checkout.folder / "results/report.html"
    page.parent.mkdir(exist_ok=True)
    page.write_text("the page of another run")
    try:
        assert checkout.would_run()["sample_rollouts"] == 1
    finally:
        page.unlink()
