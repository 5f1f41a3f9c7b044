"""The gates: which positions of a rollout are its decisions.

The entropy gate is the paper's. The others are controls, and take as many positions of each rollout
as the entropy gate would, all but `all`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Entropies = NDArray[np.float32]  # [T], in nats: one rollout's, position by position
Positions = NDArray[np.int64]  # ascending, 0-based in the completion
Choose = Callable[[Entropies, Positions, np.random.Generator], Positions]


@dataclass(frozen=True)
class Gate:
    """How a gate chooses, and what is said about it.

    `choose` gets a rollout's entropies, the positions above the threshold (the entropy gate's
    decisions) and a random generator, and returns the decision positions.
    """

    choose: Choose
    words: str  # as model cards say it: "trained ... at <words>"
    draws: bool = False  # whether `selection.seed` changes what it chooses


def _above(entropies: Entropies, above: Positions, rng: np.random.Generator) -> Positions:
    return above


def _random(entropies: Entropies, above: Positions, rng: np.random.Generator) -> Positions:
    return np.sort(rng.choice(len(entropies), len(above), replace=False))


def _lowest(entropies: Entropies, above: Positions, rng: np.random.Generator) -> Positions:
    return np.sort(np.argsort(entropies, kind="stable")[: len(above)])


def _first(entropies: Entropies, above: Positions, rng: np.random.Generator) -> Positions:
    return np.arange(len(above))


def _last(entropies: Entropies, above: Positions, rng: np.random.Generator) -> Positions:
    return np.arange(len(entropies) - len(above), len(entropies))


def _all(entropies: Entropies, above: Positions, rng: np.random.Generator) -> Positions:
    return np.arange(len(entropies))


GATES = {
    "entropy": Gate(_above, words="its high-entropy decision points"),
    "entropy-quantile": Gate(_above, words="its high-entropy decision points"),
    "random": Gate(_random, words="positions drawn at random", draws=True),
    "low-entropy": Gate(_lowest, words="low-entropy positions"),
    "first": Gate(_first, words="the first positions"),
    "last": Gate(_last, words="the last positions"),
    "all": Gate(_all, words="every position"),
}
