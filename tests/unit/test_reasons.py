"""What `make plan` says: Snakemake's reasons in the config's words."""

import json

import pytest

from reasonmaxxer.config import SelectionConfig, TrainingConfig
from reasonmaxxer.graph.reasons import PlannedJob, report

FOLLOWS = "Input files updated by another job: results/t/x.parquet"


def params_changed(before: list[str], now: list[str]) -> str:
    """As Snakemake 9.27 prints it."""
    old, new = (",".join(map(repr, texts)) for texts in (before, now))
    return (
        "Params have changed since last execution: Union of exclusive params before and now "
        f"across all output: before: {old or '<nothing exclusive>'} "
        f"now: {new or '<nothing exclusive>'} "
    )


def of_sections(before, now) -> str:
    return params_changed([before.as_json()], [now.as_json()])


def job(rule: str, reason: str, **wildcards: str) -> PlannedJob:
    return PlannedJob(rule, wildcards, reason)


SLOW, FAST = TrainingConfig(learning_rate=3e-4), TrainingConfig(learning_rate=1e-3)
QUOTED = json.dumps({"stop": ['it\'s; "now: "'], "template": "chat", "instruction": ""})


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ([], ["nothing to do"]),
        (
            [
                job("train_adapter", of_sections(SLOW, FAST), arm="a"),
                job("train_adapter", of_sections(SLOW, FAST), arm="b"),
                job("sample_evaluation", FOLLOWS, arm="a"),
                job("render_report", FOLLOWS),
                job("all", FOLLOWS),
            ],
            [
                "training of a, b: training.learning_rate 0.0003 -> 0.001",
                "and what follows: evaluation, report",
                "4 jobs would run",
            ],
        ),
        (
            [job("select_positions", of_sections(SelectionConfig(tau=1), SelectionConfig(tau=2)))],
            ["selection: selection.tau 1.0 -> 2.0", "1 job would run"],
        ),
        (
            [job("score_rollouts", params_changed(["0" * 16], ["f" * 16]), origin="main")],
            ["entropies of main: the code of entropies has changed", "1 job would run"],
        ),
        (
            [
                job("sample_rollouts", f"Missing output files: a; {FOLLOWS}", origin="main"),
                job("check_model", "Forced execution"),
            ],
            ["preflight: forced", "missing: rollouts", "2 jobs would run"],
        ),
        (
            [job("sample_evaluation", params_changed([QUOTED], [QUOTED.replace("chat", "x.txt")]))],
            ["evaluation: prompt.template chat -> x.txt", "1 job would run"],
        ),
        (
            [job("render_report", "Updated input files: page.css")],
            ["report: page.css new or changed", "1 job would run"],
        ),
        (
            [job("choose_checkpoint", params_changed([], ["--full-model"]))],
            ["checkpoint: nothing -> --full-model", "1 job would run"],
        ),
        (
            [job("compute_metrics", "Set of input files has changed since last execution")],
            ["metrics: it reads other files", "1 job would run"],
        ),
    ],
)
def test_reasons_are_said_in_the_configs_words(jobs, said):
    assert report(jobs) == said
