"""The paper's claims: verdicts from intervals, and which arms and figures each rests on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from scipy import stats

from reasonmaxxer.analysis.claims import CLAIMS, Condition, Figure, arm_figures
from reasonmaxxer.analysis.statistics import mean_difference
from reasonmaxxer.stages.metrics import compute

ARMS = {"base": 0.35, "reasonmaxxer": 0.6, "random-gate": 0.4, "grpo": 0.6}
SMALL: dict[str, Any] = {
    "benchmarks": {"chains": (24, 4), "single": (30, 1)},
    "pool": (8, 6),
    "length": 12,
}


@pytest.mark.parametrize(
    ("side", "low", "high", "verdict"),
    [
        ("at most", 0.01, 0.05, "holds"),
        ("at most", 0.01, 0.06, "undecided"),
        ("at most", 0.06, 0.09, "fails"),
        ("at least", 0.05, 0.09, "holds"),
        ("at least", 0.01, 0.04, "fails"),
        ("above", 0.05, 0.09, "undecided"),
        ("above", 0.06, 0.09, "holds"),
        ("above", 0.01, 0.04, "fails"),
    ],
)
def test_a_claims_verdict_comes_from_the_interval(
    side: Any, low: float, high: float, verdict: str
) -> None:
    condition = Condition("x", "x", side, 0.05)
    assert condition.verdict(Figure((low + high) / 2, low, high)) == verdict
    assert condition.verdict(None) == "not tested"
    once = "undecided" if verdict == "undecided" else "undecided (one seed)"
    assert condition.verdict(Figure((low + high) / 2, low, high, one_seed=True)) == once


def test_claims_without_figures_are_not_tested_and_evidence_decides(tmp_path: Path) -> None:
    manifest = synthetic.make_run(tmp_path, arms=ARMS, training=False, **SMALL)
    manifest["evidence"] = {
        "reranked_share": {"value": 0.02, "low": 0.01, "high": 0.03},
        "top5_share": {"value": 0.9, "low": 0.89, "high": 0.91},
    }
    verdicts = {claim["id"]: claim["verdict"] for claim in compute(manifest)[0]["claims"]}
    assert list(verdicts) == [claim.id for claim in CLAIMS]
    assert verdicts["C1"] == "holds"
    assert verdicts["C2"] == "fails"  # one condition is enough
    assert verdicts["C3"] == verdicts["C8"] == verdicts["C10"] == "not tested"
    assert verdicts["C6"].startswith("undecided")  # of one seed


def values_of(**rates: float) -> dict[str, Any]:
    """Two benchmarks of 200 problems, as hard for every arm, with given rates of the arms."""
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 0.02, 200)  # cancels where arms are paired, up to rounding
    return {
        benchmark: {name: {"accuracy": rate + hard} for name, rate in rates.items()}
        for benchmark in ("one", "two")
    }


def arms_of(kind: str, *names: str, **more: Any) -> dict[str, Any]:
    return {name: {**synthetic.about(name, kind), **more} for name in names}


def test_a_claim_over_seeds_has_their_spread_in_its_interval() -> None:
    seeds = ("", "+seed=43", "+seed=44")
    ours, control = (
        [f"{arm}{seed}" for seed in seeds] for arm in ("reasonmaxxer", "positive-only")
    )
    arms = arms_of("base", "base") | arms_of("trained", *ours, *control)
    rates = dict(zip(ours, (0.75, 0.72, 0.71), strict=True))
    rates |= dict(zip(control, (0.69, 0.70, 0.70), strict=True)) | {"base": 0.5}
    gap = arm_figures(arms, values_of(**rates))["over_positive_only"]
    differences = [0.06, 0.02, 0.01]
    half = stats.t.ppf(0.975, 2) * np.std(differences, ddof=1) / np.sqrt(3)
    paired = mean_difference([np.full(200, 0.03)] * 2)
    assert gap.value == pytest.approx(0.03)
    problems = paired.high - paired.value
    assert gap.high - gap.value == pytest.approx(np.hypot(problems, half))
    assert paired.low > 0 > gap.low

    # Other seeds cannot be paired: both spreads count.
    del arms[control[-1]]
    gap = arm_figures(arms, values_of(**rates))["over_positive_only"]
    halves = [
        stats.t.ppf(0.975, len(v) - 1) * np.std(v, ddof=1) / np.sqrt(len(v))
        for v in ((0.75, 0.72, 0.71), (0.69, 0.70))
    ]
    problems = mean_difference([np.full(200, gap.value)] * 2).high - gap.value
    assert gap.high - gap.value == pytest.approx(np.linalg.norm([problems, *halves]))


def test_sweeps_and_distillation_are_held_against_the_arm_they_were_made_from() -> None:
    arms = arms_of("base", "base") | arms_of("grpo", "grpo", "grpo+seed=43")
    arms |= arms_of("trained", "reasonmaxxer", "reasonmaxxer+seed=43", "reasonmaxxer+tau=0.2")
    arms |= arms_of("distilled", "kl", teacher="grpo", share=0.004)
    arms |= arms_of("distilled", "kl-ours", teacher="reasonmaxxer", share=0.005)
    rates = {"base": 0.5, "grpo": 0.7, "grpo+seed=43": 0.8, "kl": 0.69, "kl-ours": 0.1}
    rates |= {"reasonmaxxer": 0.6, "reasonmaxxer+seed=43": 0.7, "reasonmaxxer+tau=0.2": 0.58}
    found = arm_figures(arms, values_of(**rates))
    assert found["kl_lora_gap"].value == pytest.approx(-0.01)
    assert found["spread_threshold"].value == pytest.approx(0.02)


def test_the_best_rl_of_the_run_is_what_has_to_be_matched() -> None:
    arms = arms_of("base", "base") | arms_of("trained", "reasonmaxxer")
    arms |= arms_of("checkpoint", "public") | arms_of("grpo", "grpo", "grpo+seed=43", "grpo-lora")
    rates = {"base": 0.5, "reasonmaxxer": 0.6, "public": 0.9, "grpo": 0.7, "grpo+seed=43": 0.5}
    found = arm_figures(arms, values_of(**rates, **{"grpo-lora": 0.65}))
    assert found["gap_to_rl"].value == pytest.approx(0.6 - 0.65)
    found = arm_figures(arms, values_of(**rates, **{"grpo-lora": 0.55}))
    assert found["gap_to_rl"].value == pytest.approx(0.6 - 0.7)  # both have the seed 42


def test_a_control_is_one_by_its_settings_and_not_by_its_name() -> None:
    arms = arms_of("base", "base") | arms_of("trained", "reasonmaxxer", "random-gate", "dice")
    metrics = values_of(**{"base": 0.5, "reasonmaxxer": 0.6, "random-gate": 0.5, "dice": 0.3})
    arms["random-gate"]["changed"] = {"selection.gate": "all"}
    assert "over_random_gate" not in arm_figures(arms, metrics)
    arms["dice"]["changed"] = {"selection.gate": "random"}
    assert arm_figures(arms, metrics)["over_random_gate"].value == pytest.approx(0.3)


def test_robustness_is_only_as_sure_as_the_least_sure_point_of_a_sweep() -> None:
    rng = np.random.default_rng(0)
    arms = arms_of("base", "base")
    arms |= arms_of("trained", *("reasonmaxxer" + end for end in ("", "+tau=0.2", "+tau=0.8")))
    metrics = values_of(**{"base": 0.5, "reasonmaxxer": 0.6, "reasonmaxxer+tau=0.2": 0.58})
    for arms_there in metrics.values():
        noisy = 0.599 + rng.normal(0, 0.4, 200)
        arms_there["reasonmaxxer+tau=0.8"] = {"accuracy": noisy - noisy.mean() + 0.599}
    spread = arm_figures(arms, metrics)["spread_threshold"]
    assert spread.value == pytest.approx(0.02)
    assert spread.high > 0.03


@pytest.mark.parametrize(("k", "tested"), [(2, False), (16, False), (32, True)])
def test_capability_is_read_from_a_large_k_alone(k: int, tested: bool) -> None:
    arms = arms_of("base", "base") | arms_of("grpo", "grpo")
    metrics = values_of(base=0.5, grpo=0.7)
    for of_arm in metrics.values():
        for values in of_arm.values():
            values[f"pass@{k}"] = values["accuracy"]
    assert ("base_over_rl_pass_at_k" in arm_figures(arms, metrics)) is tested


@pytest.mark.parametrize("teacher", ["grpo", "reasonmaxxer"])
def test_claims_about_rl_are_judged_by_the_footprint_of_an_rl_arm_alone(
    tmp_path: Path, teacher: str
) -> None:
    manifest = synthetic.make_run(tmp_path, arms=ARMS, **SMALL)
    found, _ = compute(synthetic.write_footprint(tmp_path, manifest, teacher))
    verdicts = {claim["id"]: claim["verdict"] for claim in found["claims"]}
    wanted = "holds" if teacher == "grpo" else "not tested"
    assert [verdicts[id_] for id_ in ("C1", "C2", "C3", "C4")] == [wanted] * 4
    assert found["footprint"]["is_rl"] is (teacher == "grpo")
    rows = {row["name"]: row for row in found["footprint"]["interventions"]["rows"]}
    assert rows["gate"]["recovery"]["value"] == pytest.approx(100 / 125)


def test_c11_rests_on_the_many_samples_where_there_are_some(tmp_path: Path) -> None:
    manifest = synthetic.make_run(tmp_path, arms=ARMS, **SMALL)
    found, _ = compute(synthetic.write_footprint(tmp_path, manifest, "grpo"))
    capability = found["footprint"]["capability"]
    curves = {(row["arm"], row["metric"]): row["value"] for row in capability["rows"]}
    assert capability["k"] == 32
    gap = curves["base", "pass@32"] - curves["grpo", "pass@32"]
    assert capability["base_over_teacher"]["value"] == pytest.approx(gap)
    (claim,) = (claim for claim in found["claims"] if claim["id"] == "C11")
    assert f"{100 * gap:.1f}".replace("-", "−") in claim["conditions"][0]["found"]
    (solved,) = capability["solved"]
    counted = [solved[key] for key in ("only_arm", "only_base", "both", "neither")]
    assert sum(counted) == capability["problems"] == 20
