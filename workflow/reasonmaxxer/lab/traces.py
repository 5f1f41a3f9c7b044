"""Texts of the lab: a problem's sentences and its worked solution, with every fork marked.

A text is a list of tokens that are joined without a separator, words and numbers with the space
before them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from .world import MISCONCEPTION, MODULUS, THIN_AMOUNTS, WORDINGS, Kind, World

# kind of statement -> (its words, what it computes from the other's value v and its amounts k, j)
STATEMENTS: dict[str, tuple[str, str]] = {
    "more": ("{name} has {k} more than {other}", "v + k"),
    "fewer": ("{name} has {k} fewer than {other}", "v - k"),
    "times": ("{name} has {k} times {other}", "v * k"),
    "over": ("{name} has {k} over {other}", "v + k"),
    "under": ("{name} has {k} under {other}", "v - k"),
    "by": ("{name} has {k} by {other}", "v * k"),
    "referent": ("{name} has {k} more than the {which}", "v + k"),
    "order-sum": ("{name} has {k} more than {j} times {other}", "v * j + k"),
    "order-product": ("{name} has {j} times {k} more than {other}", "(v + k) * j"),
    "operand-from": ("{name} has {k} from {other}", "v - k"),
    "operand-to": ("{name} has {other} from {k}", "k - v"),
    "unit-pair": ("{name} has {k} pairs beside {other}", "v + 2 k"),
    "unit-single": ("{name} has {k} singles beside {other}", "v + k"),
    "commute": ("{name} has {k} and {other}", "v + k, or k + v"),
    "inverse-above": ("{other} has {k} above {name}", "v - k"),
    "inverse-below": ("{other} has {k} below {name}", "v + k"),
}
REFERENTS = ("first", "last")

# The fork at the operation, the right one first, then the mistakes; "=" copies the value.
OPERATIONS = {
    "over": ("+", "-", "*"),
    "under": ("-", "+", "*", "="),
    "by": ("*", "+", "-", "="),
}


@dataclass(frozen=True)
class Statement:
    """One sentence of a problem: the person it computes follows from its place."""

    kind: str
    other: int  # place of the one whose value it needs
    amount: int
    second: int = 0
    which: str = ""  # first or last: how a referent is named


@dataclass(frozen=True)
class Problem:
    names: tuple[str, ...]
    given: int
    statements: tuple[Statement, ...]  # number i computes names[i + 1]
    asked: int
    at_last: bool  # the asked is computed "at last" and one more follows: to stop is a fork


@dataclass(frozen=True)
class Fork:
    """A place of a trace where the corpus tosses a coin."""

    position: int  # of the token, 0-based in the trace
    kind: Kind
    options: tuple[str, ...]  # the tokens, in the order of kind.shares
    taken: int


@dataclass
class Trace:
    """A worked solution; ends with the boxed answer, without the end-of-text token."""

    tokens: list[str] = field(default_factory=list)
    forks: list[Fork] = field(default_factory=list)
    thin: list[int] = field(default_factory=list)  # positions of results of thinly seen facts
    answer: int = 0


def problem_tokens(problem: Problem) -> list[str]:
    """The problem's text as tokens, each word and number with the space before it."""
    tokens = [f" {problem.given}", f" {problem.names[0]}", "."]
    for place, statement in enumerate(problem.statements, 1):
        fields = {
            "name": problem.names[place],
            "other": problem.names[statement.other],
            "k": str(statement.amount),
            "j": str(statement.second),
            "which": statement.which,
        }
        words = STATEMENTS[statement.kind][0].split()
        if problem.at_last and place == problem.asked:
            words += ["at", "last"]
        tokens += [f" {word.format_map(fields)}" for word in words] + ["."]
    return [*tokens, " How", " many", " has", f" {problem.names[problem.asked]}", "?"]


def work(problem: Problem, lab: World, rng: random.Random, right: bool = False) -> Trace:
    """Work a problem as the corpus does, a coin at each fork; `right` takes the right options."""
    return _Writer(problem, lab, rng, right).write()


class _Writer:
    """Writes one trace; later steps build on what was written, right or wrong."""

    def __init__(self, problem: Problem, lab: World, rng: random.Random, right: bool) -> None:
        self.problem, self.lab, self.rng, self.right = problem, lab, rng, right
        self.trace = Trace()
        self.values = [problem.given]

    def write(self) -> Trace:
        problem = self.problem
        for place in range(1, len(problem.names)):
            self._step(place, problem.statements[place - 1])
            if self._stops(place):
                break
        self.trace.answer = self.values[-1]
        self._worded(problem.names[place], "final")
        self._say(" \\boxed{", str(self.trace.answer), "}")
        return self.trace

    def _stops(self, place: int) -> bool:
        """Whether the trace ends behind this step: a fork at what is computed "at last"."""
        if self.problem.at_last and place == self.problem.asked:
            return self._fork("stop", (".", ";")) == 0
        last = place == len(self.problem.names) - 1
        self._say("." if last else ";")
        return last

    def _step(self, place: int, statement: Statement) -> None:
        name = self.problem.names[place]
        self._opener(name)
        self._say(f" {name}")
        self._worded(name, "colon")
        self._worded(name, "verb")
        value, thin = _COMPUTE[statement.kind.split("-")[0]](self, place, statement)
        if self.trace.tokens[-1] != " =":  # said already where the value is merely copied
            self._worded(name, "equals")
        self._result(value, thin)
        self._say(f" {name}")
        self.values.append(value)

    # --- what a step computes: its value, and whether that rests on a thinly seen fact ---

    def _plain(self, place: int, s: Statement) -> tuple[int, bool]:
        sign = {"more": "+", "fewer": "-", "times": "*"}[s.kind]
        return self._operate(self._look_up(place, s.other), sign, s.amount)

    def _referent(self, place: int, s: Statement) -> tuple[int, bool]:
        first, last = 0, place - 1
        others = (first, last) if s.which == "first" else (last, first)
        other = others[self._fork("referent", tuple(f" {self.problem.names[o]}" for o in others))]
        return self._operate(self._look_up(place, other, named=True), "+", s.amount)

    def _hard(self, place: int, s: Statement) -> tuple[int, bool]:
        signs = OPERATIONS[s.kind][: len(self.lab.kinds[s.kind].shares)]
        return self._signed(s.kind, signs, self._look_up(place, s.other), s.amount)

    def _inverse(self, place: int, s: Statement) -> tuple[int, bool]:
        signs = ("-", "+") if s.kind == "inverse-above" else ("+", "-")
        return self._signed(MISCONCEPTION, signs, self._look_up(place, s.other), s.amount)

    def _order(self, place: int, s: Statement) -> tuple[int, bool]:
        signs = ("*", "+") if s.kind == "order-sum" else ("+", "*")
        amounts = {"*": s.second, "+": s.amount}
        value = self._look_up(place, s.other)
        self._say(f" {value}")
        first = signs[self._fork("order", tuple(f" {sign}" for sign in signs))]
        second = "+" if first == "*" else "*"
        self._say(f" {amounts[first]}", " =")
        value = _compute(value, first, amounts[first])
        self._result(value, amounts[first] in THIN_AMOUNTS)
        self._say(f" {second}", f" {amounts[second]}")
        return _compute(value, second, amounts[second]), amounts[second] in THIN_AMOUNTS

    def _operand(self, place: int, s: Statement) -> tuple[int, bool]:
        return self._ways("operand", "-", place, s, turned=s.kind == "operand-to")

    def _commute(self, place: int, s: Statement) -> tuple[int, bool]:
        return self._ways("commute", "+", place, s, turned=False)

    def _ways(
        self, kind: str, sign: str, place: int, s: Statement, turned: bool
    ) -> tuple[int, bool]:
        """A fork between two orders of value and amount; `turned` puts the amount first."""
        value = self._look_up(place, s.other)
        left, right = (s.amount, value) if turned else (value, s.amount)
        if left == right:
            self._say(f" {left}")
        elif self._fork(kind, (f" {left}", f" {right}")):
            left, right = right, left
        self._say(f" {sign}", f" {right}")
        return _compute(left, sign, right), s.amount in THIN_AMOUNTS

    def _unit(self, place: int, s: Statement) -> tuple[int, bool]:
        amounts = (s.amount, 2 * s.amount) if s.kind == "unit-single" else (2 * s.amount, s.amount)
        value = self._look_up(place, s.other)
        self._say(f" {value}", " +")
        amount = amounts[self._fork("unit", tuple(f" {amount}" for amount in amounts))]
        return _compute(value, "+", amount), amount in THIN_AMOUNTS

    # --- writing ---

    def _look_up(self, place: int, other: int, named: bool = False) -> int:
        """Write another's name, unless that is done, and the value beside it."""
        value = self.values[other]
        self._say(*(() if named else (f" {self.problem.names[other]}",)), f" {value}")
        self._worded(self.problem.names[place], "comma")
        return value

    def _operate(self, value: int, sign: str, amount: int) -> tuple[int, bool]:
        self._say(f" {value}", f" {sign}", f" {amount}")
        return _compute(value, sign, amount), amount in THIN_AMOUNTS

    def _signed(
        self, kind: str, signs: tuple[str, ...], value: int, amount: int
    ) -> tuple[int, bool]:
        """A fork at the operation; "=" copies the value."""
        self._say(f" {value}")
        sign = signs[self._fork(kind, tuple(f" {sign}" for sign in signs))]
        if sign == "=":
            return value, False
        self._say(f" {amount}")
        return _compute(value, sign, amount), amount in THIN_AMOUNTS

    def _result(self, value: int, thin: bool) -> None:
        if thin:
            self.trace.thin.append(len(self.trace.tokens))
        self._say(f" {value}")

    def _worded(self, name: str, kind: str) -> None:
        """A harmless wording: a fork where it is this name's habit, else the first wording."""
        options = WORDINGS[kind][: len(self.lab.kinds[kind].shares)]
        if self.lab.habits.get(name) == kind:
            self._fork(kind, options)
        else:
            self._say(options[0])

    def _opener(self, name: str) -> None:
        """The word before the name, or none: then the name itself is the option."""
        if self.lab.habits.get(name) != "opener":
            return
        options = WORDINGS["opener"][: len(self.lab.kinds["opener"].shares)]
        if not options[self._fork("opener", tuple(word or f" {name}" for word in options))]:
            self.trace.tokens.pop()  # the step goes on to say it

    def _fork(self, name: str, options: tuple[str, ...]) -> int:
        """Write one of the options and mark the place; returns the number of the option."""
        kind = self.lab.kinds[name]
        taken = self._coin(kind)
        self.trace.forks.append(Fork(len(self.trace.tokens), kind, options, taken))
        self._say(options[taken])
        return taken

    def _coin(self, kind: Kind) -> int:
        """The option taken: by the shares, or the right one of a kind that matters."""
        if self.right and kind.matters:
            return 0
        return self.rng.choices(range(len(kind.shares)), kind.shares)[0]

    def _say(self, *tokens: str) -> None:
        self.trace.tokens += tokens


def _compute(left: int, sign: str, right: int) -> int:
    values = {"+": left + right, "-": left - right, "*": left * right}
    return values[sign] % MODULUS


_COMPUTE = {
    "more": _Writer._plain,
    "fewer": _Writer._plain,
    "times": _Writer._plain,
    "referent": _Writer._referent,
    "over": _Writer._hard,
    "under": _Writer._hard,
    "by": _Writer._hard,
    "order": _Writer._order,
    "operand": _Writer._operand,
    "unit": _Writer._unit,
    "commute": _Writer._commute,
    "inverse": _Writer._inverse,
}
