"""What an edit runs again, asked of a finished real run: how many jobs, of which arms.

Which stages each key of the config runs again: test_rerun_table.py.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator

import pytest
from conftest import Project
from dry_runs import DryRuns, jobs_in
from project_copy import ROOT

from reasonmaxxer import tables
from reasonmaxxer.__main__ import STAGES
from reasonmaxxer.registry import STAGES as REGISTERED

PAGE = {"render_report": 1, "publish_report": 1}
METRICS = {"compute_metrics": 1, **PAGE}
READING = {"read_side_by_side": 1, **METRICS}
EVALUATION = {"sample_evaluation": 2, "judge_evaluation": 2, **READING}  # of the 2 trained arms
ADAPTERS = {"choose_checkpoint": 2, **EVALUATION}
TRAINING = {"train_adapter": 2, **ADAPTERS}
SELECTION = {"select_positions": 2, **TRAINING}
ROLLOUTS = {"sample_rollouts": 1, "judge_rollouts": 1, "score_rollouts": 1, **SELECTION}

CASES = {
    "report title": ({"report": {"title": "Another"}}, PAGE),
    "price of an hour": ({"report": {"price_per_hour": 2.0}}, PAGE),
    "samples of one suite": (
        {"benchmarks": {"far": {"samples": 8}}},
        {"sample_evaluation": 3, "judge_evaluation": 3, **READING},
    ),
    "memorization check": (
        {"memorization": {"check": True}},
        {"check_memorization": 1, **METRICS},
    ),
    "threshold": ({"selection": {"tau": 0.5}}, SELECTION),
    "learning rate": ({"training": {"learning_rate": 1.0e-3}}, TRAINING),
    "learning rate of one arm": (
        {"arms": {"random-gate": {"training": {"learning_rate": 1.0e-3}}}},
        {
            "train_adapter": 1,
            "choose_checkpoint": 1,
            "sample_evaluation": 1,
            "judge_evaluation": 1,
            **METRICS,
        },
    ),
    "rollout temperature": ({"rollouts": {"temperature": 0.8}}, ROLLOUTS),
    "token limit of the evaluation, and the threshold": (
        {"evaluation": {"max_tokens": 120}, "selection": {"tau": 0.5}},
        {"check_model": 1, **SELECTION, "sample_evaluation": 3, "judge_evaluation": 3},
    ),
    "prompt": (
        {"prompt": {"template": "config/prompts/qwen_boxed.txt"}},
        {"check_model": 1, **ROLLOUTS, "sample_evaluation": 3, "judge_evaluation": 3},
    ),
    "states kept no longer": (
        {"entropies": {"cache_hidden_states": False}},
        {"score_rollouts": 1, **SELECTION},
    ),
    "more rollouts": ({"rollouts": {"samples": 8}}, ROLLOUTS),
    "batch, memory, threads": (
        {"resources": {"training": {"batch_tokens": 999, "mem_mb": 2000, "threads": 2}}},
        {},
    ),
}


class Asked:
    """The finished run, and what Snakemake says to changes of its config."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.dry_runs = DryRuns(project.folder)

    def would_run(self, change: dict | None = None, *arguments: str) -> dict[str, int]:
        files = self.project.config_files(change)
        return jobs_in(self.dry_runs.ask("--quiet", "rules", *arguments, "--configfile", *files))


@pytest.fixture(scope="module")
def asked(project) -> Iterator[Asked]:
    made = Asked(project)
    yield made
    made.dry_runs.close()


def test_a_finished_run_has_nothing_to_do(project):
    assert project.would_run() == {}


@pytest.mark.parametrize("case", CASES)
def test_an_edit_runs_again_only_what_it_touches(asked, case):
    change, expected = CASES[case]
    assert asked.would_run(change) == expected


def test_a_new_arm_runs_alone(asked):
    jobs = asked.would_run({"arms": {"rft": {"training": {"anchor_weight": 0}}}})
    assert jobs == {
        "train_adapter": 1,
        "choose_checkpoint": 1,
        "sample_evaluation": 1,
        "judge_evaluation": 1,
        **METRICS,
    }


def test_a_new_benchmark_samples_nothing_else(asked):
    change = {"benchmarks": {"medium": {"source": {"lab": {}, "limit": 10}, "samples": 1}}}
    jobs = asked.would_run(change)
    assert jobs == {
        "load_problems": 1,
        "audit_problems": 1,
        "check_model": 1,
        "sample_evaluation": 3,
        "judge_evaluation": 3,
        **READING,
    }


def test_an_arm_of_reinforcement_learning_touches_no_other(asked):
    arms = {
        "grpo": {"kind": "grpo", "evaluate": ["short"]},
        "kl": {"kind": "distilled", "teacher": "grpo", "evaluate": ["short"]},
    }
    jobs = asked.would_run({"arms": arms, "grpo": {"max_tokens": 64}})
    assert jobs == {
        **{"train_grpo": 1, "choose_whole_checkpoint": 1, "sample_teacher": 1, "distil_teacher": 1},
        **{"sample_benchmark": 2, "judge_benchmark": 2},
        **METRICS,
    }
    arms["grpo"]["grpo"] = {"rank": 4}
    jobs = asked.would_run({"arms": arms, "grpo": {"max_tokens": 64}})
    assert jobs["choose_checkpoint"] == 1 and "choose_whole_checkpoint" not in jobs


def test_the_plan_names_the_key_and_counts_what_follows(project):
    files = project.config_files({"training": {"learning_rate": 1.0e-3}})
    variables = [f"CONFIG={' '.join(files)}", "CORES=2"]
    recipe = subprocess.run(
        ["make", "--dry-run", "plan", *variables], cwd=ROOT, capture_output=True, text=True
    ).stdout.replace("\\\n", " ")
    _, *arguments = shlex.split(re.findall("^snakemake .*", recipe, re.M)[-1])
    said = project.snakemake(*arguments)
    assert re.search("^training of .*: training.learning_rate 0.0003 -> 0.001$", said, re.M)
    assert "and what follows: checkpoint 2, evaluation 4, side_by_side, metrics, report 2" in said
    assert "Job stats" not in said


def test_a_touched_file_runs_nothing(asked):
    for path in (asked.project.folder / "results/test/rollouts").rglob("*.parquet"):
        path.touch()
    assert asked.would_run() == {}


def test_forcing_a_stage_runs_its_jobs(asked):
    jobs = asked.would_run(None, "-R", "training")
    assert jobs == {**TRAINING, "training": 1}


# Those of the footprint analysis, which the run does not have.
ON_REQUEST = ("footprint", "interventions", "pivotality", "capability")
# Nor has it an arm of these, a model to convert, or anything else to do there by default.
NO_ARM = ("grpo", "distillation", "convert", "merge", "memorization")
BODY = "    total = tables.num_rows"


@pytest.fixture
def verdicts_module(project):
    """The module that judges, whatever is judged."""
    path = project.folder / "workflow/reasonmaxxer/stages/verdicts.py"
    before = path.read_text()
    yield path
    path.write_text(before)


def test_an_edit_of_a_module_reruns_the_stages_that_use_it(project, verdicts_module):
    text = verdicts_module.read_text()
    verdicts_module.write_text(text + "\nUNUSED = True\n")
    assert project.would_run() == {}
    verdicts_module.write_text(text.replace(BODY, f"    assert path\n{BODY}"))
    assert project.would_run() == {"judge_rollouts": 1, **SELECTION, "judge_evaluation": 3}


def test_a_frozen_stage_survives_an_edit_of_its_code(project, verdicts_module):
    text = verdicts_module.read_text()
    verdicts_module.write_text(text.replace(BODY, f"    assert path\n{BODY}"))
    assert project.would_run({"freeze": ["verdicts", "evaluation", "checkpoint"]}) == {}


def test_an_edit_of_comments_and_docstrings_runs_nothing(project, verdicts_module):
    text = verdicts_module.read_text().replace('"""Stage', '# A remark.\n"""The stage', 1)
    verdicts_module.write_text(text + "# another\n")
    assert project.would_run() == {}


@pytest.mark.parametrize(
    "stage", [name for name in REGISTERED if name not in (*ON_REQUEST, *NO_ARM)]
)
def test_every_stage_is_a_target(asked, stage):
    output = asked.dry_runs.ask(stage, "--configfile", "config/test.yaml")
    assert "Nothing to be done" in output


# --- really run: these change the finished run, and stand last ----------------------------------


def test_more_samples_draw_the_missing_ones_alone(project):
    results = project.folder / "results/test"
    # A file that is taken from an earlier job is the same one for the disk.
    before = {path: path.stat().st_ino for path in results.rglob("*.parquet")}
    change = {"rollouts": {"samples": 8}, "benchmarks": {"far": {"samples": 8}}}
    new = {
        results / "rollouts/main/p0-19.s4-7.parquet",
        results / "evaluation/base/far/s4-7.completions.parquet",
    }
    targets = [str(path.relative_to(project.folder)) for path in new]
    project.snakemake(*targets, "--configfile", *project.config_files(change))
    after = {path: path.stat().st_ino for path in results.rglob("*.parquet")}
    assert after.keys() - before.keys() == new
    assert {path: after[path] for path in before} == before
    for path in new:
        samples = {row["sample"] for row in tables.rows(path, "rollouts", ["sample"])}
        assert samples == {4, 5, 6, 7}
    # The way back samples nothing: the arm's job takes what is there.
    project.snakemake("--configfile", "config/test.yaml")
    log = results / "logs/sample_evaluation/base.log"
    assert log.read_text().count("taken from an earlier job") == 2
    assert "10/10" not in log.read_text()


@pytest.fixture
def poison(project) -> Iterator[str]:
    """Every stage but metrics and report fails if it starts; the stages' code stays as it is."""
    module = project.folder / "workflow/reasonmaxxer/__main__.py"
    before = module.read_text()
    poisoned = sorted(STAGES.keys() - {"metrics", "report"})
    trap = f'    if arguments[:1] and arguments[0] in {poisoned}:\n        sys.exit("poisoned")\n'
    first = "    arguments = sys.argv[1:] if argv is None else argv\n"
    assert first in before
    module.write_text(before.replace(first, first + trap))
    yield "poisoned"
    module.write_text(before)


def test_edits_of_page_and_resources_run_through_with_every_other_stage_poisoned(project, poison):
    change = {
        "report": {"title": "Another title", "price_per_hour": 2.0, "rollouts_shown": 3},
        "resources": {
            "generation": {"threads": 2, "mem_mb": 2000, "kv_cache_mb": 400},
            "training": {"batch_tokens": 999, "processes": 2},
        },
        "freeze": ["rollouts"],
    }
    for path in (project.folder / "results/test").rglob("*.parquet"):
        path.touch()
    project.snakemake("--configfile", *project.config_files(change))
    assert "Another title" in (project.folder / "results/test/report.html").read_text()
    missing = {"rollouts": {"samples": 12}}
    files = project.config_files(missing)
    assert poison in project.snakemake("rollouts", "--configfile", *files, check=False)
