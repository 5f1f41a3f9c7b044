"""Texts of the lab: a problem's sentences and its worked solution, with every fork marked.

A text is a list of tokens that are joined without a separator, words and numbers with the space
before them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from .lab_world import MISCONCEPTION, MODULUS, THIN_AMOUNTS, WORDINGS, Kind, World

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
    "inverse-more": ("{other} has {k} more than {name}", "v - k"),
    "inverse-fewer": ("{other} has {k} fewer than {name}", "v + k"),
}
REFERENTS = ("first", "last", "second")

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
    which: str = ""  # first, last, second: how a referent is named


@dataclass(frozen=True)
class Problem:
    names: tuple[str, ...]
    given: int
    statements: tuple[Statement, ...]  # number i computes names[i + 1]
    asked: int
    at_last: bool  # asks "at last": where to stop is a fork


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
    tokens = [f" {problem.names[0]}", " has", f" {problem.given}", "."]
    for place, statement in enumerate(problem.statements, 1):
        fields = {
            "name": problem.names[place],
            "other": problem.names[statement.other],
            "k": str(statement.amount),
            "j": str(statement.second),
            "which": statement.which,
        }
        words = STATEMENTS[statement.kind][0].split()
        tokens += [f" {word.format_map(fields)}" for word in words] + ["."]
    end = [" at", " last"] if problem.at_last else []
    return [*tokens, " How", " many", " has", f" {problem.names[problem.asked]}", *end, "?"]


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
        self._worded(problem.names[problem.asked], "final")
        self._say(" \\boxed{", str(self.trace.answer), "}")
        return self.trace

    def _stops(self, place: int) -> bool:
        """Whether the trace ends behind this step: a fork near the end of an "at last" problem."""
        last = place == len(self.problem.names) - 1
        behind = place - self.problem.asked
        if self.problem.at_last and not last and behind in (-1, 0):
            stops = (";", ".") if behind else (".", ";")
            return self._fork("stop", stops) == "."
        self._say(".") if last or behind >= 0 else self._say(";")
        return last or behind >= 0

    def _step(self, place: int, statement: Statement) -> None:
        name = self.problem.names[place]
        self._opener(name)
        self._say(f" {name}")
        self._worded(name, "colon")
        other = self._referent(place, statement)
        self._say(f" {self.problem.names[other]}")
        self._worded(name, "verb")
        value = self.values[other]
        self._say(f" {value}")
        self._worded(name, "comma")
        self.values.append(_COMPUTE[statement.kind.split("-")[0]](self, name, statement, value))

    def _referent(self, place: int, statement: Statement) -> int:
        if statement.kind != "referent":
            return statement.other
        kind = self.lab.kinds["referent"]
        places = {"first": 0, "second": 1, "last": place - 1}
        options = [statement.which, *(w for w in REFERENTS if w != statement.which)]
        chosen = [places[w] for w in options[: len(kind.shares)]]
        names = tuple(f" {self.problem.names[c]}" for c in chosen)
        taken = self._coin(kind)
        self.trace.forks.append(Fork(len(self.trace.tokens), kind, names, taken))
        return chosen[taken]

    # --- what a step computes ---

    def _plain(self, name: str, s: Statement, value: int) -> int:
        sign = {"more": "+", "fewer": "-", "times": "*", "referent": "+"}[s.kind]
        return self._fact(name, value, sign, s.amount)

    def _hard(self, name: str, s: Statement, value: int) -> int:
        kind = self.lab.kinds[s.kind]
        self._say(f" {value}")
        sign = self._fork(s.kind, tuple(f" {o}" for o in OPERATIONS[s.kind][: len(kind.shares)]))
        if sign == " =":
            self._say(f" {value}")
            return value
        return self._fact(name, value, sign.strip(), s.amount, begun=True)

    def _order(self, name: str, s: Statement, value: int) -> int:
        signs = ("*", "+") if s.kind == "order-sum" else ("+", "*")
        amounts = {"*": s.second, "+": s.amount}
        self._say(f" {value}")
        sign = self._fork("order", tuple(f" {sign}" for sign in signs)).strip()
        value = self._fact(name, value, sign, amounts[sign], begun=True)
        self._say(",")
        sign = "*" if sign == "+" else "+"
        return self._fact(name, value, sign, amounts[sign])

    def _operand(self, name: str, s: Statement, value: int) -> int:
        ways = ((value, s.amount), (s.amount, value))
        if s.kind == "operand-to":
            ways = (ways[1], ways[0])
        taken = self._ways("operand", ways)
        self._say(" -", f" {taken[1]}")
        return self._result(name, "-", *taken, thin=s.amount in THIN_AMOUNTS)

    def _commute(self, name: str, s: Statement, value: int) -> int:
        taken = self._ways("commute", ((value, s.amount), (s.amount, value)))
        self._say(" +", f" {taken[1]}")
        return self._result(name, "+", *taken, thin=s.amount in THIN_AMOUNTS)

    def _unit(self, name: str, s: Statement, value: int) -> int:
        amounts = (2 * s.amount, s.amount)
        if s.kind == "unit-single":
            amounts = (amounts[1], amounts[0])
        self._say(f" {value}", " +")
        amount = int(self._fork("unit", tuple(f" {a}" for a in amounts)))
        return self._result(name, "+", value, amount, thin=False)

    def _inverse(self, name: str, s: Statement, value: int) -> int:
        signs = (" -", " +") if s.kind == "inverse-more" else (" +", " -")
        self._say(f" {value}")
        sign = self._fork(MISCONCEPTION, signs).strip()
        return self._fact(name, value, sign, s.amount, begun=True)

    # --- writing ---

    def _fact(self, name: str, value: int, sign: str, amount: int, begun: bool = False) -> int:
        self._say(*(() if begun else (f" {value}", f" {sign}")), f" {amount}")
        return self._result(name, sign, value, amount, amount in THIN_AMOUNTS)

    def _result(self, name: str, sign: str, left: int, right: int, thin: bool) -> int:
        self._worded(name, "equals")
        sums = {"+": left + right, "-": left - right, "*": left * right}
        result = sums[sign] % MODULUS
        if thin:
            self.trace.thin.append(len(self.trace.tokens))
        self._say(f" {result}")
        return result

    def _ways(self, kind: str, ways: tuple[tuple[int, int], ...]) -> tuple[int, int]:
        """A fork between two orders of the operands; none where both are one number."""
        if ways[0][0] == ways[1][0]:
            self._say(f" {ways[0][0]}")
            return ways[0]
        first = self._fork(kind, tuple(f" {way[0]}" for way in ways))
        return next(way for way in ways if f" {way[0]}" == first)

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
        if self._fork("opener", tuple(word or f" {name}" for word in options)) == f" {name}":
            self.trace.tokens.pop()  # the step goes on to say it

    def _fork(self, name: str, options: tuple[str, ...]) -> str:
        kind = self.lab.kinds[name]
        taken = self._coin(kind)
        self.trace.forks.append(Fork(len(self.trace.tokens), kind, options, taken))
        self._say(options[taken])
        return options[taken]

    def _coin(self, kind: Kind) -> int:
        """The option taken: by the shares, or the right one of a kind that matters."""
        if self.right and kind.matters:
            return 0
        return self.rng.choices(range(len(kind.shares)), kind.shares)[0]

    def _say(self, *tokens: str) -> None:
        self.trace.tokens += tokens


_COMPUTE = {
    "more": _Writer._plain,
    "fewer": _Writer._plain,
    "times": _Writer._plain,
    "referent": _Writer._plain,
    "over": _Writer._hard,
    "under": _Writer._hard,
    "by": _Writer._hard,
    "order": _Writer._order,
    "operand": _Writer._operand,
    "unit": _Writer._unit,
    "commute": _Writer._commute,
    "inverse": _Writer._inverse,
}
