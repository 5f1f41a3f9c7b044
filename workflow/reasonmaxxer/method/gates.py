"""The gates: which positions of a rollout are its decisions.

The entropy gate is the paper's. The others are controls, and take as many positions of each rollout
as the entropy gate would, all but `all`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]  # ascending, 0-based in the completion


@dataclass(frozen=True)
class Candidates:
    """The positions of a rollout, among which a gate chooses."""

    entropies: NDArray[np.float32]  # [T], in nats
    credits: NDArray[np.float64]  # [T], what each token trains with where it is a decision
    above: Positions  # the entropy gate's decisions


Choose = Callable[[Candidates, np.random.Generator], Positions]


@dataclass(frozen=True)
class Gate:
    """How a gate chooses the decision positions of a rollout, and what is said about it."""

    choose: Choose
    words: str  # as model cards say it: "trained ... at <words>"
    draws: bool = False  # whether `selection.seed` changes what it chooses


def _above(at: Candidates, rng: np.random.Generator) -> Positions:
    return at.above


def _random(at: Candidates, rng: np.random.Generator) -> Positions:
    return np.sort(rng.choice(len(at.entropies), len(at.above), replace=False))


def _lowest(at: Candidates, rng: np.random.Generator) -> Positions:
    return np.sort(np.argsort(at.entropies, kind="stable")[: len(at.above)])


def _pivotal(at: Candidates, rng: np.random.Generator) -> Positions:
    """Those whose token changed the most; of tokens worth the same, the more uncertain."""
    worth = np.abs(at.credits).round(9)  # sums of floats, of which some are equal
    return np.sort(np.lexsort((-at.entropies, -worth))[: len(at.above)])


def _first(at: Candidates, rng: np.random.Generator) -> Positions:
    return np.arange(len(at.above))


def _last(at: Candidates, rng: np.random.Generator) -> Positions:
    return np.arange(len(at.entropies) - len(at.above), len(at.entropies))


def _all(at: Candidates, rng: np.random.Generator) -> Positions:
    return np.arange(len(at.entropies))


GATES = {
    "entropy": Gate(_above, words="its high-entropy decision points"),
    "random": Gate(_random, words="positions drawn at random", draws=True),
    "low-entropy": Gate(_lowest, words="low-entropy positions"),
    "pivotal": Gate(_pivotal, words="the positions where its choice counted most"),
    "first": Gate(_first, words="the first positions"),
    "last": Gate(_last, words="the last positions"),
    "all": Gate(_all, words="every position"),
}
