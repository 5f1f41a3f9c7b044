"""Every preset builds its graph, offline, and its plan says what would run."""

import re
from pathlib import Path

import pytest
from project_copy import CONFIGS

from reasonmaxxer import config

ROOT = Path(__file__).parents[2]
PRESETS = [path.stem for path in CONFIGS if "H100 hours" in path.read_text()]
# Laid over a base's preset: data beside mathematics.
OVERLAYS = ["arc-challenge", "bbh"]


def test_there_is_a_preset_for_every_base_model_of_the_papers_table():
    references = {config.load([ROOT / f"config/{name}.yaml"]).report.reference for name in PRESETS}
    assert references == {
        None,  # Qwen2.5-0.5B, for small cards
        *("Qwen2.5-1.5B", "Qwen2.5-7B", "Qwen2.5-Math-7B", "Qwen2.5-32B", "Qwen3-0.6B"),
        *("Qwen3-4B", "DeepSeek-R1-Distill-Qwen-1.5B", "Mistral-7B-v0.1"),
    }


@pytest.mark.parametrize("base", PRESETS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_data_beside_mathematics_fit_every_base_and_leave_its_benchmarks_out(base, overlay):
    alone, laid = (
        config.load([ROOT / f"config/{name}.yaml" for name in names])
        for names in ([base], [base, overlay])
    )
    assert laid.benchmarks and not laid.benchmarks.keys() & alone.benchmarks.keys()
    assert laid.verdicts.verifier in ("choice", "exact")
    assert (laid.model, laid.report.reference) == (alone.model, None)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_command_in_its_header_gives_its_jobs_their_gpus(preset):
    path = ROOT / f"config/{preset}.yaml"
    command = re.search(rf"^#   (snakemake .*config/{preset}.yaml.*)$", path.read_text(), re.M)[1]
    given = re.search(r"--resources gpu=(\d+)", command)
    assert int(given[1] if given else 1) == config.load([path]).resources.gpus


@pytest.mark.parametrize(
    "presets",
    [*([preset] for preset in PRESETS), *(["qwen2.5-0.5b", overlay] for overlay in OVERLAYS)],
    ids="+".join,
)
def test_its_graph_builds_and_its_plan_starts_few_engines(checkout, presets):
    files = [f"config/{preset}.yaml" for preset in presets]
    run = config.load([ROOT / file for file in files])
    plan = checkout.snakemake("--dry-run", "--quiet", "rules", "--configfile", *files)
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", plan, re.M)}
    assert jobs["sample_rollouts"] == jobs["score_rollouts"] == 1
    assert jobs["train_adapter"] == jobs["choose_checkpoint"] == len(run.trained_arms)
    # One start for the base and all its adapters, and one for each public model.
    assert jobs["sample_adapters"] == 1
    assert jobs.get("sample_evaluation", 0) == len(run.of_kind("checkpoint"))
    assert jobs["judge_evaluation"] == len(run.arms)
    starts = ("sample_rollouts", "choose_checkpoint", "sample_adapters", "sample_evaluation")
    assert sum(jobs.get(rule, 0) for rule in starts) <= 8
    assert jobs["render_report"] == 1
