"""What the choice at a position changes, and whether entropy tells where it matters.

A position's effect is the difference between its best and its worst alternative in the share of
right completions; its stake, the mean distance of that share from its average under the base's own
choice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .statistics import Estimate, Values, mean_interval, ratio_values

POSITION = ("problem_id", "sample", "position", "entropy", "gated", "weight")
ALTERNATIVE = (*POSITION, "rank", "token_id", "logprob")


def counted(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table `pivotality` from judged continuations."""
    groups: dict[tuple[Any, ...], list[bool]] = {}
    for row in rows:
        place = tuple(row[key] for key in ALTERNATIVE)
        groups.setdefault(place, []).append(row["verdict"] == "correct")
    return [
        {
            **dict(zip(ALTERNATIVE, place, strict=True)),
            **{"continuations": len(right), "correct": sum(right)},
        }
        for place, right in groups.items()
    ]


@dataclass(frozen=True)
class Positions:
    """A sample of positions, arrays [N]: `weight` is how many positions each stands for."""

    problem: NDArray[np.str_]
    entropy: Values
    gated: NDArray[np.bool_]
    weight: Values
    effect: Values
    stake: Values


def positions(rows: Sequence[Mapping[str, Any]]) -> Positions:
    """The positions of a table `pivotality` with their effects and stakes."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in POSITION), []).append(row)
    effects, stakes = [], []
    for alternatives in groups.values():
        shares = np.array([row["correct"] / row["continuations"] for row in alternatives])
        chances = np.exp([row["logprob"] for row in alternatives])
        chances /= chances.sum()
        effects.append(np.ptp(shares))
        stakes.append(chances @ np.abs(shares - chances @ shares))
    columns = dict(zip(POSITION, zip(*groups, strict=True), strict=True))
    return Positions(
        problem=np.array(columns["problem_id"]),
        entropy=np.array(columns["entropy"], dtype=np.float64),
        gated=np.array(columns["gated"]),
        weight=np.array(columns["weight"], dtype=np.float64),
        effect=np.array(effects),
        stake=np.array(stakes),
    )


def summary(found: Positions, margin: float) -> dict[str, Estimate | None]:
    """How well entropy ranks positions by whether they matter; None where it is undefined.

    auc: chance that a pivotal position has a higher entropy than another. precision: share of
    the gate's positions that are pivotal; base_rate: of all. recall: share of the pivotal
    positions that the gate finds. stake: share of all that is at stake that lies at the gate's
    positions; budget: share of positions there.
    """
    pivotal = (found.effect >= margin).astype(np.float64)
    gated = found.gated.astype(np.float64)
    every = np.ones(len(gated))
    return {
        "auc": auc(found.entropy, pivotal > 0, found.weight, found.problem),
        "precision": _ratio(found, pivotal * gated, gated),
        "base_rate": _ratio(found, pivotal, every),
        "recall": _ratio(found, pivotal * gated, pivotal),
        "stake": _ratio(found, found.stake * gated, found.stake),
        "budget": _ratio(found, gated, every),
    }


def auc(
    scores: Values, positive: NDArray[np.bool_], weight: Values, group: NDArray[np.str_]
) -> Estimate | None:
    """Area under the ROC curve with its interval over groups; None without both classes.

    The chance that a positive scores higher than a negative, ties counting half, each with its
    weight. The interval rests on each group's first-order influence on that chance.
    """
    if positive.all() or not positive.any():
        return None
    above = scores[positive][:, None] - scores[~positive][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    ours, theirs = weight[positive], weight[~positive]
    of_positive, of_negative = wins @ theirs / theirs.sum(), ours @ wins / ours.sum()
    value = float(ours @ of_positive / ours.sum())
    influence = np.empty(len(scores))
    influence[positive] = ours * (of_positive - value) / ours.sum()
    influence[~positive] = theirs * (of_negative - value) / theirs.sum()
    by_group = _by_group(group, influence)
    return _within(mean_interval(value + len(by_group) * by_group))


def _ratio(found: Positions, numerators: Values, denominators: Values) -> Estimate | None:
    """Weighted share of sums with its interval over problems; None where nothing is counted."""
    above, below = (
        _by_group(found.problem, found.weight * values) for values in (numerators, denominators)
    )
    return None if below.sum() == 0 else _within(mean_interval(ratio_values(above, below)))


def _by_group(group: NDArray[np.str_], values: Values) -> Values:
    """Sums of `values` over the members of each group."""
    _, member = np.unique(group, return_inverse=True)
    return np.bincount(member, values).astype(np.float64)


def _within(estimate: Estimate) -> Estimate:
    return Estimate(estimate.value, max(0.0, estimate.low), min(1.0, estimate.high))
