"""What arms cost: every stage once, in tokens, operations and seconds, by hand-made numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from rollout_rows import rollout

from reasonmaxxer import tables
from reasonmaxxer.analysis.arms import is_rl
from reasonmaxxer.analysis.claims import arm_figures
from reasonmaxxer.analysis.cost import SWEPT, Pool, base_weights, cost_ratio, cost_rows, pool_tokens
from reasonmaxxer.analysis.timings import Job
from reasonmaxxer.config import Config
from reasonmaxxer.stages.metrics import compute

STEPS = 4
SHARES = {"kl-r4": 0.02, "kl-r1": 0.004, "kl-o1": 0.001}


def _log_row(step: int) -> dict[str, Any]:
    return {
        **dict.fromkeys(("reward", "reward_std", "same_reward", "length", "truncated"), 0.5),
        **dict.fromkeys(("entropy", "kl", "loss", "gradient_norm", "learning_rate"), 0.1),
        **{"step": step, "generated_tokens": 100, "trained_tokens": 150},
        **{"seconds": 10.0, "flops": 1e6},
    }


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> dict[str, Any]:
    """A made-up run with an RL arm of four steps, two seeds, and arms distilled from it."""
    from transformers import LlamaConfig

    folder = tmp_path_factory.mktemp("run")
    rates = {"base": 0.3, "reasonmaxxer": 0.5, "reasonmaxxer+tau=0.2": 0.5, "rl": 0.6}
    rates |= dict.fromkeys(SHARES, 0.55)
    made = synthetic.make_run(folder, arms=rates)
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1}
    sizes |= {"vocab_size": 20, "num_attention_heads": 2}
    LlamaConfig(tie_word_embeddings=False, **sizes).save_pretrained(folder / "model")
    rl = made["arms"]["rl"]
    rl |= {**synthetic.about("rl", "grpo"), "grpo": str(folder / "grpo.parquet"), "training": None}
    rl |= {
        "selection": None,
        "selection_summary": None,
        "checkpoint": str(folder / "checkpoint.json"),
    }
    tables.write(rl["grpo"], "grpo", [_log_row(step) for step in range(1, STEPS + 1)])
    checkpoints = [
        {"checkpoint": n, "step": 2 * n, "pass_rate": rate}
        for n, rate in enumerate((0.3, 0.52, 0.7))
    ]
    Path(rl["checkpoint"]).write_text(json.dumps({"chosen": 2, "checkpoints": checkpoints}))
    for name, share in SHARES.items():
        record = folder / f"{name}.json"
        record.write_text(json.dumps({"share": share, "rank": 1, "generated_tokens": 40}))
        made["arms"][name] |= synthetic.about(name, "distilled") | {"teacher": "rl"}
        made["arms"][name] |= {"distillation": str(record)}
        made["arms"][name] |= {"checkpoint": None, "selection": None, "selection_summary": None}
        own = {"sample_teacher": ["rl.p100.s1"], "distil_teacher": [name]}
        made["arms"][name] |= {"jobs": {**RL_JOBS, **own}}
        made["arms"][name]["rollouts"] = [str(_teacher_rollouts(folder))]
        _fast(Path(made["arms"][name]["training"]), seconds=1)
    for name in ("reasonmaxxer", "reasonmaxxer+tau=0.2"):
        _fast(Path(made["arms"][name]["training"]), seconds=5)
        made["arms"][name]["jobs"] = _trained_jobs(name)
    rl["jobs"] = RL_JOBS
    return made


def _fast(log: Path, seconds: float) -> None:
    """A training log of which all steps together took so many seconds."""
    rows = tables.read(log, "training").to_pylist()
    for row in rows:
        row["tokens_per_second"] = row["tokens"] * len(rows) / seconds
    tables.write(log, "training", rows)


def _teacher_rollouts(folder: Path) -> Path:
    """Two completions of 20 tokens behind one prompt of three."""
    path = folder / "teacher.parquet"
    tables.write(path, "rollouts", [rollout([1, 2, 3], [5] * 20, sample=n) for n in range(2)])
    return path


RL_JOBS = {"train_grpo": ["rl"], "choose_whole_checkpoint": ["rl"]}
SECONDS = {
    ("sample_rollouts", "main.p0-9.s0-3"): 100,
    ("train_adapter", "reasonmaxxer"): 30,
    ("choose_checkpoint", "reasonmaxxer"): 5,
    ("train_adapter", "reasonmaxxer+tau=0.2"): 31,
    ("choose_checkpoint", "reasonmaxxer+tau=0.2"): 6,
    ("train_grpo", "rl"): 60,
    ("choose_whole_checkpoint", "rl"): 8,
    ("sample_teacher", "rl.p100.s1"): 3,
    **{("distil_teacher", name): 4 for name in SHARES},
    # What no arm of the run needs: its evaluation, shards of another number of samples.
    ("sample_evaluation", "rl"): 1000,
    ("sample_rollouts", "main.p0-9.s0-1"): 1000,
}
# The machine was busy: three times as much went by on its clock.
JOBS = [Job(*job, 3 * seconds, seconds) for job, seconds in SECONDS.items()]


def _trained_jobs(name: str) -> dict[str, list[str]]:
    own = {"train_adapter": [name], "choose_checkpoint": [name]}
    return {"sample_rollouts": ["main.p0-9.s0-3"], **own}


def _rows(manifest, jobs=JOBS) -> dict[str, Any]:
    return {row["arm"]: row for row in cost_rows(manifest, jobs, "rl")}


def test_the_base_costs_nothing_and_the_others_have_a_row(manifest):
    assert list(_rows(manifest)) == ["reasonmaxxer", "reasonmaxxer+tau=0.2", "rl", *SHARES]


def test_seconds_hold_every_stage_once_and_the_sweep_apart(manifest):
    rows = _rows(manifest)
    ours = rows["reasonmaxxer"]
    assert (ours["seconds"], ours["sweep_seconds"]) == (100 + 30 + 5, 31 + 6)
    assert (rows["rl"]["seconds"], rows["rl"]["sweep_seconds"]) == (60 + 8, 0)
    assert rows["kl-r1"]["seconds"] == 60 + 8 + 3 + 4
    assert all(row["seconds"] is None for row in _rows(manifest, []).values())


def test_an_arm_whose_jobs_were_not_all_timed_has_no_seconds(manifest):
    for missing in (
        ("choose_checkpoint", "reasonmaxxer"),
        ("sample_rollouts", "main.p0-9.s0-3"),
    ):
        jobs = [job for job in JOBS if (job.rule, job.name) != missing]
        rows = _rows(manifest, jobs)
        assert rows["reasonmaxxer"]["seconds"] is None
        assert cost_ratio(manifest, rows.values(), "rl") is None


def test_training_that_was_killed_counts_all_its_steps(manifest):
    # Snakemake has the time of the last try alone, the log has every step's.
    last_try = {("train_grpo", "rl"): 2, ("train_adapter", "reasonmaxxer"): 1}
    rows = _rows(manifest, [Job(*job, s, 0.5 * s) for job, s in (SECONDS | last_try).items()])
    assert rows["rl"]["seconds"] == pytest.approx(0.5 * (STEPS * 10 + 8))
    assert rows["reasonmaxxer"]["seconds"] == pytest.approx(0.5 * (100 + 5 + 5))


def test_tokens_and_operations_are_those_of_the_tables(manifest):
    # Untied embeddings of 20 x 8 are looked up, not multiplied with.
    weights = 20 * 8 + 4 * 8 * 8 + 3 * 8 * 12 + 3 * 8
    assert base_weights(manifest) == weights
    rollouts = list(tables.rows(manifest["rollouts"][0], "rollouts"))
    generated = sum(len(row["token_ids"]) for row in rollouts)
    prompts = [len(row["prompt_token_ids"]) for row in rollouts]
    first = [len(row["prompt_token_ids"]) for row in rollouts if row["sample"] == 0]
    pool = Pool(generated, generated + sum(first), generated + sum(prompts))
    assert pool_tokens(manifest["rollouts"]) == pool

    rows = _rows(manifest)
    log = tables.read(manifest["arms"]["reasonmaxxer"]["training"], "training").to_pydict()
    trained = sum(log["tokens"])
    ours = rows["reasonmaxxer"]
    assert (ours["generated_tokens"], ours["trained_tokens"]) == (generated, trained)
    passes = 2 * trained + 4 * trained + 2 * (2 * generated + sum(first) + sum(prompts))
    assert ours["flops"] == pytest.approx(weights * passes)
    rl = rows["rl"]
    assert (rl["generated_tokens"], rl["trained_tokens"], rl["flops"]) == (400, 600, 4e6)
    kl = rows["kl-r1"]
    assert kl["generated_tokens"] == 400 + 40
    kl_log = tables.read(manifest["arms"]["kl-r1"]["training"], "training", ["tokens"])
    kl_trained = sum(kl_log["tokens"].to_pylist())
    assert kl["flops"] == pytest.approx(4e6 + weights * (4 * kl_trained + 2 * (43 + 46)))

    # The base's states were kept by the scorer: no pass of the base beside training.
    kept = _rows({**manifest, "config": {"entropies": {"cache_hidden_states": True}}})[
        "reasonmaxxer"
    ]
    assert ours["flops"] - kept["flops"] == pytest.approx(weights * 2 * trained)


def test_an_arm_with_rollouts_of_its_own_counts_those(manifest):
    arms = manifest["arms"]
    own = {**arms["reasonmaxxer"], "rollouts": arms["kl-r1"]["rollouts"]}
    rows = _rows({**manifest, "arms": {**arms, "reasonmaxxer": own}})
    assert rows["reasonmaxxer"]["generated_tokens"] == 40


def test_rl_is_compared_at_the_accuracy_of_the_arm(manifest):
    # The arm's chosen checkpoint passes 0.5 of the validation problems, RL's first after 2 steps of
    # 4, which are half of the 60 seconds that its training spent.
    rows = _rows(manifest)
    assert rows["reasonmaxxer"]["rl_seconds"] == pytest.approx(30.0)
    assert rows["rl"]["rl_seconds"] is None


def test_a_checkpoint_has_cost_the_rollouts_and_its_share_of_the_steps(manifest):
    rows = _rows(manifest)
    assert rows["rl"]["reached"] == pytest.approx([0, 30, 60])
    arm = manifest["arms"]["reasonmaxxer"]
    log = tables.read(arm["training"], "training", ["step"])
    steps = [c["step"] for c in json.loads(Path(arm["checkpoint"]).read_text())["checkpoints"][1:]]
    assert rows["reasonmaxxer"]["reached"] == pytest.approx(
        [0, *(100 + 30 * step / len(log) for step in steps)]
    )
    assert all(row["reached"] is None for row in _rows(manifest, []).values())


def test_the_cost_claim_has_the_sweep_in_it(manifest):
    ratio = cost_ratio(manifest, cost_rows(manifest, JOBS, "rl"), "rl")
    assert ratio.value == pytest.approx((135 + 37) / 68)
    assert cost_ratio(manifest, cost_rows(manifest, [], "rl"), "rl") is None
    assert cost_ratio(manifest, cost_rows(manifest, JOBS, None), None) is None
    # GRPO samples with transformers: beside vLLM, seconds would compare the two engines.
    rows = cost_rows(manifest, [], "rl")
    by_name = {row["arm"]: row for row in rows}
    ours, swept = by_name["reasonmaxxer"], by_name["reasonmaxxer+tau=0.2"]
    rollouts = (
        base_weights(manifest)
        * 2
        * sum(getattr(pool_tokens(manifest["rollouts"]), key) for key in ("sampled", "scored"))
    )
    assert ours["sweep_flops"] == pytest.approx(swept["flops"] - rollouts)  # which they share
    with_vllm = {**manifest, "config": {**manifest["config"], "engine": "vllm"}}
    ratio = cost_ratio(with_vllm, rows, "rl")
    assert ratio.value == pytest.approx((ours["flops"] + ours["sweep_flops"]) / 4e6)
    found, _ = compute(manifest, JOBS)
    claims = {claim["id"]: claim for claim in found["claims"]}
    assert claims["C10"]["conditions"][0]["verdict"] == "fails"
    assert claims["C5"]["verdict"] != "not tested"


def test_low_dimension_is_read_from_the_largest_adapter_within_the_limit(manifest):
    metrics: dict[str, Any] = {"only": {}}
    arms = {name: {**arm, "share": SHARES.get(name, 1.0)} for name, arm in manifest["arms"].items()}
    values = {"rl": 0.6, "kl-r1": 0.5, "kl-o1": 0.9, "kl-r4": 0.9}
    metrics["only"] = {name: {"accuracy": np.full(50, v)} for name, v in values.items()}
    assert arm_figures(arms, metrics)["kl_lora_gap"].value == pytest.approx(-0.1)


def test_settings_that_are_tried_are_keys_of_the_config():
    for place in SWEPT:
        section, key = place.split(".")
        assert key in Config.model_fields[section].annotation.model_fields, place


def test_an_arm_is_reinforcement_learning_by_its_kind():
    assert is_rl({"kind": "grpo"})
    assert is_rl({"kind": "checkpoint", "own_prompt": None})
    assert not is_rl({"kind": "checkpoint", "own_prompt": {"template": "chat"}})
    assert not is_rl({"kind": "distilled"})
