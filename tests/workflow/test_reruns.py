"""What an edit of the config runs again, asked of a finished real run."""

import pytest

PAGE = {"render_report": 1, "publish_report": 1}
METRICS = {"compute_metrics": 1, **PAGE}
READING = {"read_pairs": 1, **METRICS}
EVALUATION = {"evaluate_arm": 4, "judge_arm": 4, **READING}  # 2 trained arms x 2 suites
ADAPTERS = {"choose_checkpoint": 2, **EVALUATION}
TRAINING = {"train_adapter": 2, **ADAPTERS}
SELECTION = {"select_positions": 2, **TRAINING}
ROLLOUTS = {"sample_rollouts": 1, "judge_rollouts": 1, "score_rollouts": 1, **SELECTION}

CASES = {
    "report title": ({"report": {"title": "Another"}}, PAGE),
    "price of an hour": ({"report": {"price_per_hour": 2.0}}, PAGE),
    "samples of one suite": (
        {"benchmarks": {"far": {"samples": 8}}},
        {"evaluate_arm": 3, "judge_arm": 3, **READING},
    ),
    "contamination check": (
        {"contamination": {"check": True}},
        {"check_contamination": 1, **METRICS},
    ),
    "threshold": ({"selection": {"tau": 0.5}}, SELECTION),
    "learning rate": ({"training": {"learning_rate": 1.0e-3}}, TRAINING),
    "learning rate of one arm": (
        {"arms": {"random-gate": {"training": {"learning_rate": 1.0e-3}}}},
        {
            "train_adapter": 1,
            "choose_checkpoint": 1,
            "evaluate_arm": 2,
            "judge_arm": 2,
            **METRICS,
        },
    ),
    "rollout temperature": ({"rollouts": {"temperature": 0.8}}, ROLLOUTS),
    "token limit of the evaluation, and the threshold": (
        {"evaluation": {"max_tokens": 120}, "selection": {"tau": 0.5}},
        {"check_model": 1, **SELECTION, "evaluate_arm": 6, "judge_arm": 6},
    ),
    "prompt": (
        {"prompt": {"template": "config/prompts/qwen_boxed.txt"}},
        # The base's own evaluation, and its checks for the choice of checkpoints, as well.
        {"check_model": 1, **ROLLOUTS, "evaluate_arm": 7, "judge_arm": 7},
    ),
    "states kept no longer": (
        {"entropies": {"keep_states": False}},
        {"score_rollouts": 1, **SELECTION},
    ),
    "more rollouts": ({"rollouts": {"samples": 8}}, ROLLOUTS),
    "batch, memory, threads": (
        {"resources": {"training": {"batch_tokens": 999, "mem_mb": 2000, "threads": 2}}},
        {},
    ),
}


def test_a_finished_run_has_nothing_to_do(project):
    assert project.would_run() == {}


@pytest.mark.parametrize("case", CASES)
def test_an_edit_runs_again_only_what_it_touches(project, case):
    change, expected = CASES[case]
    assert project.would_run(change) == expected


def test_a_new_arm_runs_alone(project):
    jobs = project.would_run({"arms": {"rft": {"training": {"anchor_weight": 0}}}})
    assert jobs == {
        "train_adapter": 1,
        "choose_checkpoint": 1,
        "evaluate_arm": 2,
        "judge_arm": 2,
        **METRICS,
    }


def test_a_new_benchmark_samples_nothing_else(project):
    change = {"benchmarks": {"medium": {"source": {"lab": {}, "limit": 10}, "samples": 1}}}
    jobs = project.would_run(change)
    assert jobs == {
        "load_problems": 1,
        "audit_problems": 1,
        "check_model": 1,
        "evaluate_arm": 3,
        "judge_arm": 3,
        **READING,
    }


def test_an_arm_of_reinforcement_learning_touches_no_other(project):
    arms = {
        "grpo": {"kind": "grpo", "evaluate": ["short"]},
        "kl": {"kind": "distilled", "teacher": "grpo", "evaluate": ["short"]},
    }
    jobs = project.would_run({"arms": arms, "grpo": {"max_tokens": 64}})
    assert jobs == {
        **{"train_grpo": 1, "choose_model": 1, "sample_teacher": 1, "distil_teacher": 1},
        **{"evaluate_arm": 2, "judge_arm": 2},
        **METRICS,
    }
    arms["grpo"]["grpo"] = {"rank": 4}
    jobs = project.would_run({"arms": arms, "grpo": {"max_tokens": 64}})
    assert jobs["choose_checkpoint"] == 1 and "choose_model" not in jobs


def test_a_touched_file_runs_nothing(project):
    for path in (project.folder / "results/test/rollouts").rglob("*.parquet"):
        path.touch()
    assert project.would_run() == {}


def test_forcing_a_stage_runs_its_jobs(project):
    jobs = project.would_run(None, "-R", "training")
    assert jobs == {**TRAINING, "training": 1}


@pytest.fixture
def verdicts_module(project):
    """Only the stage `verdicts` imports it."""
    path = project.folder / "workflow/reasonmaxxer/verdicts.py"
    before = path.read_text()
    yield path
    path.write_text(before)


def test_an_edit_of_a_module_reruns_the_stages_that_import_it(project, verdicts_module):
    verdicts_module.write_text(verdicts_module.read_text() + "\nEDITED = True\n")
    assert project.would_run() == {"judge_rollouts": 1, **SELECTION}


def test_a_kept_stage_survives_an_edit_of_its_code(project, verdicts_module):
    verdicts_module.write_text(verdicts_module.read_text() + "\nEDITED = True\n")
    assert project.would_run({"keep": ["verdicts"]}) == {}


def test_an_edit_of_comments_and_docstrings_runs_nothing(project, verdicts_module):
    text = verdicts_module.read_text().replace('"""Stage', '# A remark.\n"""The stage', 1)
    verdicts_module.write_text(text + "# another\n")
    assert project.would_run() == {}


@pytest.mark.parametrize(
    "stage",
    [
        "problems",
        "rollouts",
        "verdicts",
        "entropies",
        "selection",
        "training",
        "adapter",
        "evaluation",
        "reading",
        "metrics",
        "report",
    ],
)
def test_every_stage_is_a_target(project, stage):
    output = project.snakemake("--dry-run", stage, "--configfile", "config/test.yaml")
    assert "Nothing to be done" in output
