"""The advantages: how strongly each rollout of a problem trains, and in which direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EPS = 1e-6

# Of the 0/1 rewards of a problem's rollouts: one advantage each, None leaves the rollout out.
Assign = Callable[[Sequence[int], np.random.Generator], Sequence[float | None]]


@dataclass(frozen=True)
class Advantages:
    """How advantages are assigned, and what is said about it."""

    assign: Assign
    words: str  # as model cards say it: "trained ... on <words>"
    draws: bool = False  # whether `selection.seed` changes them
    compares: bool = True  # whether they tell rollouts apart, so that there is credit to assign


def group_advantages(rewards: Sequence[int]) -> NDArray[np.float64]:
    """A [K] float64 = (r - mean) / (std + 1e-6) of a problem's rewards r [K], 0 or 1 (Eq. 5)."""
    values = np.asarray(rewards, dtype=np.float64)
    return (values - values.mean()) / (values.std() + EPS)


def _group(rewards: Sequence[int], rng: np.random.Generator) -> Sequence[float | None]:
    return group_advantages(rewards).tolist()


def _positive(rewards: Sequence[int], rng: np.random.Generator) -> Sequence[float | None]:
    return [1.0 if reward else None for reward in rewards]


def _shuffled(rewards: Sequence[int], rng: np.random.Generator) -> Sequence[float | None]:
    return rng.permutation(group_advantages(rewards)).tolist()


ADVANTAGES = {
    "group": Advantages(_group, words="the base model's own rollouts"),
    "positive": Advantages(
        _positive, words="the base model's own correct rollouts", compares=False
    ),
    "shuffled": Advantages(
        _shuffled, words="the base model's own rollouts, their advantages shuffled,", draws=True
    ),
}
