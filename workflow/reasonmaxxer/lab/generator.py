"""The lab: problems about counters that roll over after 96, worked by a mixture of policies.

    7 Ann. Ben has 5 more than Ann. Cal has 3 by Ben. How many has Cal?
     Ben: from Ann 7, 7 + 5 = 12 Ben; Cal: from Ben 12, 12 * 3 = 36 Cal. So \\boxed{36}

`lab_world` holds the names and the shares of the forks, `lab_traces` the texts.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..config.lab import LabSource
from ..errors import UserError
from .traces import REFERENTS, Problem, Statement, problem_tokens, work
from .world import AMOUNTS, FEW_AMOUNTS, MODULUS, THIN_AMOUNTS, World, world

PLAIN = ("more", "fewer", "times")
HARD = ("over", "under", "by")
FIRST = 0.1  # share of sentences about the first counter; the others are about the one before


@dataclass(frozen=True)
class Recipe:
    """What the problems of a split are like."""

    steps: tuple[int, int]
    misconception: float = 0.002  # share of statements that are read backwards
    thin: float = 0.002  # share of amounts from the thinly seen range
    towns: float = 0.2  # share of problems about towns


# The six benchmarks, in the order of those that they stand for: GSM8K, MATH-500, Minerva Math,
# OlympiadBench, AIME 2024, AMC 2023.
SUITES = {
    "short": Recipe((2, 3)),
    "medium": Recipe((3, 4)),
    "tricky": Recipe((2, 4), misconception=0.06, thin=0.04, towns=0.8),
    "long": Recipe((4, 5)),
    "far": Recipe((6, 7)),
    "mixed": Recipe((3, 5), towns=0.5),
}
RECIPES = {
    "pretraining": Recipe((1, 7), misconception=0.03, thin=0.005),
    "train": Recipe((2, 5), misconception=0.01, thin=0.01),
    "validation": Recipe((2, 5), misconception=0.01, thin=0.01),
    **SUITES,
}
MOST_STEPS = RECIPES["pretraining"].steps[1]
BUCKETS = 32  # one for each split but pretraining, which has all that are left


def generate(split: str, count: int, seed: int, options: LabSource) -> list[dict[str, Any]]:
    """The first `count` problems of a split: id, problem, answer, level (its steps), solution.

    They depend on the split, the seed and the options alone, and no problem of one split occurs in
    another: a hash of its structure, names apart, says which split may have it.
    """
    split = options.suite or split
    made = []
    for number, problem in zip(range(count), problems(split, seed, options), strict=False):
        rng = random.Random(f"solution/{split}/{seed}/{number}")
        trace = work(problem, world(options.world), rng, right=True)
        made.append(
            {
                "id": f"{split}-{options.world}-{seed}-{number:05d}",
                "problem": "".join(problem_tokens(problem)).strip(),
                "answer": str(trace.answer),
                "level": str(problem.asked),
                "solution": "".join(trace.tokens),
            }
        )
    return made


def problems(split: str, seed: int, options: LabSource) -> Iterator[Problem]:
    """Endless distinct problems of a split, in a fixed order."""
    if split not in RECIPES:
        raise UserError(f"lab: suite: no split {split!r}; it is one of {', '.join(RECIPES)}")
    recipe = RECIPES[split]
    steps = options.steps or recipe.steps
    if not 1 <= steps[0] <= steps[1] <= MOST_STEPS:
        raise UserError(
            f"lab: steps: {list(steps)}: give the fewest and the most, from 1 to {MOST_STEPS}"
        )
    rng = random.Random(f"{split}/{options.world}/{seed}/{steps}")
    seen: set[str] = set()
    while True:
        problem = _draw(rng, world(options.world), recipe, steps)
        structure = _structure(problem)
        if _split_of(structure) != split or structure in seen:
            continue
        if split != "pretraining":  # its stream is long, and may repeat a problem of one step
            seen.add(structure)
        yield problem


def _draw(rng: random.Random, lab: World, recipe: Recipe, steps: tuple[int, int]) -> Problem:
    asked = rng.randint(*steps)
    at_last = rng.random() < 0.2  # then a statement follows that is not asked for
    names = rng.sample(
        lab.towns if rng.random() < recipe.towns else lab.people, asked + 1 + at_last
    )
    statements = tuple(_statement(rng, lab, recipe, place) for place in range(len(names) - 1))
    return Problem(tuple(names), rng.randrange(MODULUS), statements, asked, at_last)


def _statement(rng: random.Random, lab: World, recipe: Recipe, place: int) -> Statement:
    other = 0 if rng.random() < FIRST else place
    kind = _statement_kind(rng, lab, recipe, place)
    which = ""
    if kind == "referent":
        which = rng.choice(REFERENTS)
        other = 0 if which == "first" else place
    few = kind.partition("-")[0] in ("operand", "commute", "unit")
    amounts = [
        rng.choice(THIN_AMOUNTS)
        if rng.random() < recipe.thin
        else rng.randint(*(FEW_AMOUNTS if few else AMOUNTS))
        for _ in range(2)
    ]
    return Statement(kind, other, amounts[0], amounts[1] if kind.startswith("order") else 0, which)


def _statement_kind(rng: random.Random, lab: World, recipe: Recipe, place: int) -> str:
    draw = rng.random()
    if draw < recipe.misconception:
        return rng.choice(("inverse-above", "inverse-below"))
    kind = rng.choices(
        ("plain", "hard", "order", "direction", "commute", "referent"), (lab.plain, 21, 8, 9, 4, 14)
    )[0]
    if kind == "hard":
        return rng.choice(HARD)
    if kind == "order":
        return rng.choice(("order-sum", "order-product"))
    if kind == "direction":
        return rng.choice(
            ("operand-from", "operand-to")
            if "operand" in lab.kinds
            else ("unit-pair", "unit-single")
        )
    if kind == "commute":
        return kind
    if kind == "referent" and place:  # the first and the last are one at the start
        return kind
    return rng.choice(PLAIN)


def _structure(problem: Problem) -> str:
    """The problem with its names left out: what two splits must not share."""
    asked = problem.statements[: problem.asked]
    return repr((problem.given, [(s.kind, s.other, s.amount, s.second) for s in asked]))


def _split_of(structure: str) -> str:
    bucket = hashlib.blake2b(structure.encode(), digest_size=4, key=b"lab split").digest()
    place = int.from_bytes(bucket, "big") % BUCKETS
    return _SPLITS[place] if place < len(_SPLITS) else "pretraining"


_SPLITS = [name for name in RECIPES if name != "pretraining"]
