"""The paper's claims, each held against this run's figures.

A verdict comes from the interval, not from the point: `holds` when the whole interval meets the
threshold, `fails` when none of it does, `undecided` in between, `not tested` without a figure. What
a method trained with one seed does says nothing of the method: `undecided (one seed)`, at most.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ..config.selection import THRESHOLDS
from ..method.kinds import MADE
from .arms import Arms, base_of, controls, is_rl, main_of, seeds_of
from .comparisons import Metrics, Sides, difference, shared, sides
from .statistics import Estimate, Values

# Of several conditions the first of these counts: one failure fails the claim, and it holds when
# every condition does.
Verdict = Literal["fails", "not tested", "undecided", "undecided (one seed)", "holds"]

SMALL_SHARE = 0.005  # of the base's parameters: a correction of low dimension
LEAST_K = 32  # pass@k of a smaller k says little of what a model can do at all
MARGIN = 0.03  # of the mean over benchmarks: what "matches" and "flat" allow


@dataclass(frozen=True)
class Figure(Estimate):
    """A figure of a claim; `one_seed`: of a method that was trained once on one of its sides."""

    one_seed: bool = False


@dataclass(frozen=True)
class Condition:
    """A figure and the side of a threshold that it has to be on."""

    figure: str  # its key among the figures
    name: str
    side: Literal["at most", "at least", "above"]
    threshold: float
    unit: Literal["", "%", "points"] = ""

    def verdict(self, found: Figure | None) -> Verdict:
        if found is None:
            return "not tested"
        decided = self._decided(found)
        return "undecided (one seed)" if found.one_seed and decided != "undecided" else decided

    def _decided(self, found: Estimate) -> Verdict:
        low, high, threshold = found.low, found.high, self.threshold
        if self.side == "at most":
            low, high, threshold = -high, -low, -threshold
        if low > threshold or (self.side != "above" and low == threshold):
            return "holds"
        return "fails" if high < threshold else "undecided"

    def as_text(self) -> str:
        return f"{self.name} {self.side} {self.number(self.threshold)}{self.suffix}"

    def found_text(self, found: Estimate | None) -> str | None:
        if found is None:
            return None
        value, low, high = (self.number(x) for x in (found.value, found.low, found.high))
        return f"{value}{self.suffix} ({low} to {high})"

    def number(self, value: float) -> str:
        text = f"{100 * value:.1f}" if self.unit else f"{value:.3g}"
        return text.replace("-", "−")

    @property
    def suffix(self) -> str:
        return f"\u00a0{self.unit}" if self.unit == "points" else self.unit


@dataclass(frozen=True)
class Claim:
    id: str
    text: str
    conditions: tuple[Condition, ...]
    needs: str  # what a config must have for the claim to be tested


RL = "an arm of kind grpo, or a public checkpoint"
FOOTPRINT = (
    f"{RL}, and the section footprint: {{teacher: <that arm>, benchmark: <benchmark>}}, with tau "
    "where selection has another threshold"
)

CLAIMS = (
    Claim(
        "C1",
        "RL's footprint is sparse",
        (Condition("reranked_share", "share of positions reranked", "at most", 0.05, "%"),),
        FOOTPRINT,
    ),
    Claim(
        "C2",
        "RL promotes what the base already favours",
        (
            Condition("top5_share", "promoted tokens in the base top-5", "at least", 0.99, "%"),
            Condition("mean_rank", "their mean rank", "at most", 3),
        ),
        FOOTPRINT,
    ),
    Claim(
        "C3",
        "RL's changes sit at uncertain positions",
        (Condition("entropy_ratio", "entropy ratio, reranked to unchanged", "at least", 5),),
        FOOTPRINT,
    ),
    Claim(
        "C4",
        "Those positions are causal, and entropy finds them",
        (
            Condition(
                "gated_recovery",
                "RL's gain recovered at entropy-gated positions",
                "at least",
                0.5,
                "%",
            ),
            Condition("random_recovery", "the same at random positions", "at most", 0.1, "%"),
        ),
        FOOTPRINT,
    ),
    Claim(
        "C5",
        "The correction is low-dimensional",
        (
            Condition(
                "kl_lora_gap",
                "distilled LoRA of at most 0.5% of the parameters, minus RL",
                "at least",
                -0.02,
                "points",
            ),
        ),
        "an arm of kind distilled, of at most 0.5% of the base's parameters, taught by RL",
    ),
    Claim(
        "C6",
        "ReasonMaxxer matches RL",
        (Condition("gap_to_rl", "mean over benchmarks, minus RL", "at least", -MARGIN, "points"),),
        RL,
    ),
    Claim(
        "C7",
        "Entropy gating matters",
        (Condition("over_random_gate", "mean, minus a random gate", "above", 0, "points"),),
        "an arm with selection: {gate: random}",
    ),
    Claim(
        "C8",
        "The negative half matters",
        (Condition("over_positive_only", "mean, minus positive only", "above", 0, "points"),),
        "an arm with selection: {advantages: positive}",
    ),
    Claim(
        "C9",
        "Robust to the threshold and the pass-rate window",
        (
            Condition(
                "spread_threshold", "largest change over the threshold", "at most", MARGIN, "points"
            ),
            Condition(
                "spread_window", "largest change over the window", "at most", MARGIN, "points"
            ),
        ),
        "arms with another threshold of the gate, and with another selection.window",
    ),
    Claim(
        "C10",
        "Cheap",
        (
            Condition(
                "cost_ratio",
                "its cost with this run's sweeps, of RL's",
                "at most",
                0.01,
                "%",
            ),
            Condition("gap_to_rl", "at an accuracy, minus RL's", "at least", -MARGIN, "points"),
        ),
        "an arm of kind grpo",
    ),
    Claim(
        "C11",
        "Selection, not capability",
        (
            Condition(
                "base_over_rl_pass_at_k",
                f"base pass@k at the largest k from {LEAST_K}, minus RL",
                "at least",
                0,
                "points",
            ),
        ),
        FOOTPRINT,
    ),
)


def claims(manifest: Mapping[str, Any], metrics: Metrics) -> list[dict[str, Any]]:
    """Every claim with its verdict and the figures behind it.

    Figures of the footprint analysis and the costs come with the manifest, under `evidence`:
    {figure: {value, low, high}}; those of the arms are computed here.
    """
    found = {
        **arm_figures(manifest["arms"], metrics),
        **{key: Figure(**value) for key, value in manifest.get("evidence", {}).items()},
    }
    return [_judged(claim, found) for claim in CLAIMS]


def _judged(claim: Claim, found: Mapping[str, Figure]) -> dict[str, Any]:
    verdicts = [condition.verdict(found.get(condition.figure)) for condition in claim.conditions]
    return {
        "id": claim.id,
        "claim": claim.text,
        "verdict": min(verdicts, key=get_args(Verdict).index),
        "needs": claim.needs,
        "conditions": [
            {
                "text": condition.as_text(),
                "verdict": verdict,
                "found": condition.found_text(found.get(condition.figure)),
            }
            for condition, verdict in zip(claim.conditions, verdicts, strict=True)
        ],
    }


# --- figures from the arms ----------------------------------------------------------------------


def arm_figures(arms: Arms, metrics: Metrics) -> dict[str, Figure]:
    """Mean differences between arms that claims speak of: an arm stands for all its seeds."""
    main = main_of(arms)
    base = base_of(arms)
    rl = rl_arm(arms, metrics)
    found: dict[str, Figure | None] = {}
    if main is not None:
        if rl is not None:
            found["gap_to_rl"] = _gap(arms, metrics, sides(arms, main, rl))
        for figure, key, value in (
            ("over_random_gate", "selection.gate", "random"),
            ("over_positive_only", "selection.advantages", "positive"),
        ):
            for control in controls(arms, {key}, value)[:1]:
                found[figure] = _gap(arms, metrics, sides(arms, main, control))
        for figure, keys in (
            ("spread_threshold", {f"selection.{key}" for key in THRESHOLDS}),
            ("spread_window", {"selection.window"}),
        ):
            lines = dict.fromkeys(arms[name]["line"] for name in controls(arms, keys))
            gaps = [_gap(arms, metrics, sides(arms, line, main), whole=False) for line in lines]
            found[figure] = _largest(gaps)
    small = _largest_small_distilled(arms)
    if small is not None:
        between = seeds_of(arms, small), [arms[small]["teacher"]]
        found["kl_lora_gap"] = _gap(arms, metrics, between, whole=False, of_method=False)
    if rl is not None:
        many = {name: k for name, of_arm in metrics.items() if (k := _largest_k(of_arm))}
        between = [base], seeds_of(arms, rl)
        found["base_over_rl_pass_at_k"] = _gap(arms, metrics, between, many, of_method=False)
    return {key: figure for key, figure in found.items() if figure is not None}


def rl_arm(arms: Arms, metrics: Metrics) -> str | None:
    """The RL arm to be matched: the best that was trained here, else the best public checkpoint.

    Of those on every benchmark, if there are any; seeds count together. The first of a line.
    """

    def rank(name: str) -> tuple[bool, int, float]:
        known = [
            float(of_arm[member]["accuracy"].mean())
            for member in seeds_of(arms, name)
            for of_arm in metrics.values()
            if member in of_arm
        ]
        places = sum(name in of_arm for of_arm in metrics.values())
        return arms[name]["kind"] == "grpo", places, float(np.mean(known or [0.0]))

    candidates = [name for name, arm in arms.items() if is_rl(arm) and arm["line"] == name]
    return max(candidates, key=rank, default=None)


def _gap(
    arms: Arms,
    metrics: Metrics,
    between: Sides,
    metric: Mapping[str, str] | None = None,
    whole: bool = True,
    of_method: bool = True,
) -> Figure | None:
    """Mean over benchmarks of ours - theirs.

    `metric` is by benchmark, accuracy by default. None where an arm lacks a benchmark, unless the
    `whole` of them is not needed. `of_method`: it speaks of how arms were trained, so that one seed
    is too few.
    """
    wanted = dict.fromkeys(metrics, "accuracy") if metric is None else metric
    common = [name for name in shared(metrics, [*between[0], *between[1]]) if name in wanted]
    if not common or (whole and len(common) < len(wanted)):
        return None
    found = difference(arms, metrics, between, {name: wanted[name] for name in common})
    once = any(len(side) == 1 and arms[side[0]]["kind"] in MADE for side in between)
    return Figure(found.value, found.low, found.high, once and of_method)


def _largest_small_distilled(arms: Arms) -> str | None:
    """Of the arms distilled from RL within the share of parameters that C5 allows, the largest.

    Chosen by size and not by accuracy, so that the claim has one chance.
    """
    fitting = [
        name
        for name, arm in arms.items()
        if arm.get("share", 1.0) <= SMALL_SHARE and is_rl(arms[arm["teacher"]])
    ]
    return max(fitting, key=lambda name: arms[name]["share"], default=None)


def _largest_k(of_arm: Mapping[str, Mapping[str, Values]]) -> str | None:
    """The pass@k of a benchmark's largest k, if that is large enough to speak of capability."""
    ks = [int(name[5:]) for name in next(iter(of_arm.values()), {}) if name.startswith("pass@")]
    return f"pass@{max(ks)}" if max(ks, default=0) >= LEAST_K else None


def _largest(gaps: Iterable[Figure | None]) -> Figure | None:
    """The largest distance from zero, at least and at most what any of the intervals allows."""
    known = [gap for gap in gaps if gap is not None]
    if not known:
        return None
    near = [max(gap.low, -gap.high, 0.0) for gap in known]
    far = [max(abs(gap.low), abs(gap.high)) for gap in known]
    once = any(gap.one_seed for gap in known)
    return Figure(max(abs(gap.value) for gap in known), max(near), max(far), once)
