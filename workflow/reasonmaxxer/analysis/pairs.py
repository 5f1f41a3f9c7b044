"""Which problems are read side by side, as the base and as the main arm answered them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from .results import Scores

PAIRS = 24  # problems over all benchmarks
# Whether the first samples of base and main arm are right.
OUTCOMES = {
    **{"fixed": (False, True), "broken": (True, False)},
    **{"both": (True, True), "neither": (False, False)},
}


@dataclass(frozen=True)
class Pair:
    benchmark: str
    problem_id: str
    outcome: str  # one of OUTCOMES


def choose_pairs(
    suite: Mapping[str, Mapping[str, Scores]], base: str, main: str | None
) -> list[Pair]:
    """Problems of all benchmarks by their first samples, all four outcomes among them."""
    each = max(1, PAIRS // max(1, len(suite)))
    return [
        pair
        for benchmark, arms in suite.items()
        if main is not None and base in arms and main in arms
        for pair in _dealt(benchmark, arms[base], arms[main])[:each]
    ]


def _dealt(benchmark: str, base: Scores, main: Scores) -> list[Pair]:
    """The benchmark's problems, from the four outcomes in turn."""
    right = zip(base.correct[:, 0].tolist(), main.correct[:, 0].tolist(), strict=True)
    outcomes = dict(zip(base.problem_ids, right, strict=True))
    piles = [
        [Pair(benchmark, problem, name) for problem, found in outcomes.items() if found == wanted]
        for name, wanted in OUTCOMES.items()
    ]
    return [pair for in_turn in zip_longest(*piles) for pair in in_turn if pair is not None]
