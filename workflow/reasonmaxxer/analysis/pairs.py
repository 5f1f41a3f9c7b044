"""Which problems are read side by side, as the base and as the main arm answered them."""

from collections.abc import Mapping
from dataclasses import dataclass

from .results import Scores

PAIRS = 24  # problems over all benchmarks
_OUTCOMES = (
    ("fixed", False, True),
    ("broken", True, False),
    ("both", True, True),
    ("neither", False, False),
)


@dataclass(frozen=True)
class Pair:
    benchmark: str
    problem_id: str
    outcome: str  # fixed, broken, both, neither: whether the two first samples are right


def choose_pairs(
    suite: Mapping[str, Mapping[str, Scores]], base: str, main: str | None
) -> list[Pair]:
    """Problems of all benchmarks by their first samples, all four outcomes among them."""
    each = max(1, PAIRS // max(1, len(suite)))
    return [
        Pair(benchmark, problem, outcome)
        for benchmark, arms in suite.items()
        if main is not None and base in arms and main in arms
        for problem, outcome in _spread(arms[base], arms[main], each).items()
    ]


def _spread(base: Scores, main: Scores, count: int) -> dict[str, str]:
    """Problems by outcome of the first samples, dealt from the four outcomes in turn."""
    piles = {
        name: [
            problem
            for problem, before, after in zip(
                base.problem_ids, base.correct[:, 0], main.correct[:, 0], strict=True
            )
            if (before, after) == (was, now)
        ]
        for name, was, now in _OUTCOMES
    }
    dealt: dict[str, str] = {}
    while len(dealt) < count and any(piles.values()):
        for name, pile in piles.items():
            if pile and len(dealt) < count:
                dealt[pile.pop(0)] = name
    return dealt
