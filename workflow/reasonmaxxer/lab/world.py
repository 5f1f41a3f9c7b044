"""The world of a lab: its names, its kinds of fork and their shares.

A fork is a place where the corpus goes on in one of two to four ways, by an independent coin at
each occurrence. Every vector of shares is drawn from one prior and given to two kinds of fork, one
that decides the answer and one that does not: no property of the distribution tells them apart.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

MODULUS = 97  # counters run from 0 to 96 and roll over: a prime keeps every operation a bijection
AMOUNTS = (2, 7)  # least and largest
FEW_AMOUNTS = (2, 4)  # where both orders of the operands, or a double, are facts of their own
THIN_AMOUNTS = (8, 9)  # seen too rarely in the corpus to be known: slips without a policy

# A kind that matters, its twin that does not, and the most options that both have room for.
TWINS = (
    ("over", "verb", 3),
    ("under", "equals", 4),
    ("by", "opener", 4),
    ("referent", "final", 2),
    ("order", "comma", 2),
    ("operand", "commute", 2),
    ("stop", "colon", 2),
)
MISCONCEPTION = "inverse"
NAME_KINDS = ("verb", "equals", "opener", "comma", "colon", "final")

WORDINGS = {
    "verb": (" from", " with", " via"),
    "equals": (" =", " makes", " gives", " yields"),
    "opener": ("", " Now", " Next", " For"),
    "final": (" So", " Thus", " Hence"),
    "comma": (",", " then"),
    "colon": (":", " |"),
}

PEOPLE = {
    1: "Ann Ben Cal Dan Eve Fay Gus Hal Ida Jon Kim Lea Max Ned Ola Pam Quin Ron Sue Tom Una Val "
    "Wes Xia Yan Zoe Amy Bob Cid Dot Eli Flo",
    2: "Abe Bea Cleo Don Edna Finn Gia Hugo Ines Jan Kai Lou Mia Nora Otto Pia Rex Sam Tina Uma "
    "Vic Walt Xena Yuri Zack Alma Bert Cora Dirk Elsa Fritz Greta",
}
TOWNS = {
    1: "Rome Oslo Lima Cairo Paris Tokyo Delhi Quito Accra Bonn Bern Riga Sofia Seoul Perth Lyon",
    2: "Bari Cork Doha Faro Ghent Graz Kyiv Leeds Malmo Nice Osaka Pisa Reims Split Turin Vaduz",
}


@dataclass(frozen=True)
class Kind:
    """One kind of fork: the corpus's share of each option, in the option's fixed order.

    For a kind that matters option 0 is the right one.
    """

    name: str
    shares: tuple[float, ...]
    matters: bool


@dataclass(frozen=True)
class Traits:
    """What sets a world apart, besides its seed."""

    units: bool = False  # whether `unit` stands for `operand`; other names come with it
    commonest: tuple[float, float] = (0.52, 0.72)  # range of a fork's largest share
    seconds: int = 1  # kinds whose right option is the second in share, not the commonest
    plain: int = 44  # weight of sentences without a fork, of 56 for those with one


WORLDS = {
    1: Traits(),
    2: Traits(units=True),
    3: Traits(commonest=(0.72, 0.88)),  # surer of itself
    4: Traits(units=True, seconds=4),  # mostly wrong where it is unsure
    5: Traits(plain=10),  # more forks
    6: Traits(units=True, plain=150),  # fewer forks
}


@dataclass(frozen=True)
class World:
    """Everything that a corpus of this world is written from."""

    number: int
    kinds: dict[str, Kind]
    people: tuple[str, ...]
    towns: tuple[str, ...]
    habits: dict[str, str]  # name -> the one kind of wording that is a fork where it is computed
    plain: int  # weight of sentences without a fork, of 56 for those with one


@functools.cache
def world(number: int) -> World:
    """The world of this number, drawn from its seed. Raises KeyError where there is none."""
    traits = WORLDS[number]
    rng = random.Random(f"lab world {number}")
    kinds: dict[str, Kind] = {}
    second = rng.sample(range(len(TWINS) - 1), traits.seconds)
    for place, (matters, twin, most) in enumerate(TWINS):
        if traits.units and matters == "operand":
            matters = "unit"
        shares = _shares(rng, most, traits.commonest)
        kinds[twin] = Kind(twin, shares, False)
        if place in second:
            shares = (shares[1], shares[0], *shares[2:])
        kinds[matters] = Kind(matters, shares, True)
    right = rng.uniform(0.10, 0.14)
    kinds[MISCONCEPTION] = Kind(MISCONCEPTION, (right, 1 - right), True)
    people, towns = (names[1 + traits.units].split() for names in (PEOPLE, TOWNS))
    habits = {**_habits(rng, people, 3), **_habits(rng, towns, 2)}
    return World(number, kinds, tuple(people), tuple(towns), habits, traits.plain)


def _shares(rng: random.Random, most: int, commonest: tuple[float, float]) -> tuple[float, ...]:
    """Shares of 2 to `most` options, the commonest first: the one prior of all forks."""
    count = rng.randint(2, most)
    shares = [rng.uniform(*commonest)]
    while len(shares) < count - 1:
        shares.append((1 - sum(shares)) * rng.uniform(0.6, 0.75))
    shares = [round(share, 3) for share in shares]
    return (*shares, round(1 - sum(shares), 3))


def _habits(rng: random.Random, names: list[str], each: int) -> dict[str, str]:
    """Give every kind of wording to `each` of the names; the others have settled wordings only."""
    chosen = rng.sample(names, each * len(NAME_KINDS))
    return {name: NAME_KINDS[place // each] for place, name in enumerate(chosen)}
