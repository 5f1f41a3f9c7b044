"""The slow comparison: thirty-digit numbers, then math-verify, then guards on what it says.

Runs in an isolated worker only (worker.py): computer algebra on untrusted text can take any time
and memory. The text reaches math-verify's LaTeX grammar alone, never sympy's string parsers.
"""

import logging
import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import math_verify
import mpmath
import sympy
from math_verify import LatexExtractionConfig

from . import formula
from .equivalence import as_read, equivalent
from .fields import Field, points_for, sample_points, values_at
from .leaves import POINTS, close_values, quick_leaf, without_units
from .notation import with_counts
from .numerals import Number, parse_number
from .words import changes_value

logging.getLogger("math_verify").setLevel(logging.CRITICAL)
DIGITS = 50
AGREEMENT = mpmath.mpf(10) ** -30


def decide(reference: str, answer: str) -> tuple[str, str]:
    """Verdict and reason for a pair that the quick comparison left open."""
    same = equivalent(reference, answer, _leaf)
    if same is not None:
        return ("correct" if same else "incorrect"), "computed"
    gold, pred = as_read(reference), as_read(answer)
    same = _by_algebra(gold, pred)
    if same is not None:
        return ("correct" if same else "incorrect"), "algebra"
    if not _expressions(pred):
        return "unparseable", "answer not read"
    return "incorrect", "reference not read"


def _leaf(gold: str, pred: str) -> bool | None:
    same = quick_leaf(gold, pred)
    if same is not None:
        return same
    gold, pred, _ = without_units(gold, pred)
    gold, pred = with_counts(gold, points=True), with_counts(pred, points=False)
    try:
        trees = formula.parse(gold), formula.parse(pred)
    except formula.FormulaError:
        return _by_algebra(gold, pred)
    return _same_values(gold, pred, trees)


# --- thirty digits ------------------------------------------------------------------------------


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > 10**6:
        raise formula.FormulaError("power")
    return mpmath.power(base, exponent)


def _root(index: Any, value: Any) -> Any:
    """The real root of a negative number where its index is odd."""
    if mpmath.im(value) == 0 and mpmath.re(value) < 0 and mpmath.re(index) % 2 == 1:
        return -mpmath.root(-value, int(index))
    return _power(value, 1 / index)


def _bounded(function: Callable[..., Any], limit: int) -> Callable[..., Any]:
    def call(*values: Any) -> Any:
        if any(abs(value) > limit for value in values):
            raise formula.FormulaError("argument")
        return function(*values)

    return call


_MP = Field(
    mpmath.mpf,
    {"i": mpmath.mpc(0, 1), "oo": mpmath.inf},
    _power,
    {
        name: getattr(mpmath, name)
        for name in (
            *("sqrt", "sec", "csc", "cot", "tan", "sin", "cos", "sinh", "cosh", "tanh", "ln"),
            *("coth", "sech", "csch"),
        )
    }
    | {
        "root": _root,
        "abs": abs,
        "floor": lambda x: mpmath.floor(x + AGREEMENT),
        "ceil": lambda x: mpmath.ceil(x - AGREEMENT),
        "exp": _bounded(mpmath.exp, 10**6),
        "Gamma": _bounded(mpmath.gamma, 10**7),
        "!": _bounded(mpmath.factorial, 10**7),
        "binom": _bounded(mpmath.binomial, 10**7),
        "°": lambda x: x * mpmath.pi / 180,
        "arcsin": mpmath.asin,
        "arccos": mpmath.acos,
        "arctan": mpmath.atan,
        "arccot": mpmath.acot,
        "arcsinh": mpmath.asinh,
        "arccosh": mpmath.acosh,
        "arctanh": mpmath.atanh,
    },
)


def _values(tree: formula.Tree, points: list[dict[str, Fraction]], digits: int) -> list[Any]:
    with mpmath.workdps(digits):
        field = Field(
            _MP.number, _MP.constants | {"pi": +mpmath.pi, "e": +mpmath.e}, _MP.power, _MP.functions
        )
        return list(
            values_at(
                tree,
                field,
                [
                    {n: mpmath.mpf(v.numerator) / v.denominator for n, v in p.items()}
                    for p in points
                ],
            )
        )


def _same_values(gold: str, pred: str, trees: tuple[formula.Tree, formula.Tree]) -> bool | None:
    trees = formula.one_case(trees)
    points = points_for(trees, POINTS)
    left, right = (_values(tree, points, DIGITS) for tree in trees)
    if not points[0]:
        if left[0] is None or right[0] is None:
            return None if left[0] is right[0] else False
        if "." in gold + pred or "%" in gold + pred:
            return _same_decimals(gold, pred, left[0], right[0])
    finer = [_values(tree, points, 2 * DIGITS) for tree in trees]
    real: list[bool] = []
    other: list[bool] = []
    for a, b, a_fine, b_fine in zip(left, right, *finer, strict=True):
        if a is None or b is None or a_fine is None or b_fine is None:
            continue
        same = _agree(a, b, a_fine, b_fine)
        (real if _is_real(a) and _is_real(b) else other).append(same)
    if any(map(formula.is_complex, trees)):
        real, other = real + other, []
    if not real and not other:
        return None
    return all(real) if real else all(other)


def _is_real(value: Any) -> bool:
    return abs(mpmath.im(value)) <= AGREEMENT * abs(value)


def _agree(a: Any, b: Any, a_fine: Any, b_fine: Any) -> bool:
    """Equal relative to their size at thirty digits, or a difference that is rounding alone.

    A difference of rounding shrinks with more digits; 1/2004! - 1/2006! does not.
    """
    if a == b:
        return True
    with mpmath.workdps(2 * DIGITS):
        difference, fine = abs(a - b), abs(a_fine - b_fine)
        scale = max(abs(a), abs(b))
        if not (mpmath.isfinite(difference) and mpmath.isfinite(scale)):
            return False
        return bool(fine <= AGREEMENT * scale or fine <= AGREEMENT * difference)


def _same_decimals(gold: str, pred: str, left: Any, right: Any) -> bool:
    """The policy for decimals (equivalence.same_number) where a side is no rational constant."""
    values = [_fraction(left), _fraction(right)]
    if values[0] is None or values[1] is None:
        return abs(left - right) <= mpmath.mpf(10) ** -6 * max(1, abs(left))
    written = parse_number(gold)
    number = written._replace(value=values[0]) if written else Number(values[0])
    other = parse_number(pred)
    decimals = other.decimals if other else None
    candidates = [values[1]]
    if gold.count("%") != pred.count("%"):
        candidates += [values[1] * 100, values[1] / 100]
    return any(close_values(number, value, decimals) for value in candidates)


def _fraction(value: Any) -> Fraction | None:
    if not _is_real(value) or not mpmath.isfinite(value) or abs(value) > 10**60:
        return None
    return Fraction(mpmath.nstr(mpmath.re(value), 40))


# --- math-verify --------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _expressions(text: str) -> tuple[Any, ...]:
    """What math-verify reads in a normalised formula: sympy objects, () where it reads nothing."""
    latex = text.replace("°", r"^\circ ").replace("%", r"\%").replace("...", r"\ldots ")
    try:
        found = math_verify.parse(f"$${latex}$$", [LatexExtractionConfig()], parsing_timeout=None)
    except (TypeError, ValueError, AttributeError, ArithmeticError, NotImplementedError):
        return ()
    return tuple(item for item in found if not isinstance(item, str))


def _by_algebra(gold: str, pred: str) -> bool | None:
    """math-verify's verdict, guarded; None where it cannot read one of the sides."""
    if "..." in gold or "..." in pred or r"\forall" in gold + pred:
        return None  # it drops these silently
    if _changing(gold) != _changing(pred) or (_BETWEEN.search(pred) and not _BETWEEN.search(gold)):
        return None  # and words
    left, right = _expressions(gold), _expressions(pred)
    if not left or not right:
        return None
    same = math_verify.verify(
        list(left), list(right), allow_set_relation_comp=True, timeout_seconds=None
    )
    if same:
        return _passes_guards(left[0], right[0], gold, pred)
    return _UNEVALUATED.search(gold + pred) is not None and _evaluated(left[0], right[0])


_BETWEEN = re.compile(r"\d[^\\]*\\text\s*\{[^{}]*[A-Za-z]{2}[^{}]*\}.*\d")


def _changing(text: str) -> list[str]:
    """The wrapped words of a formula that change its value."""
    return [word for word in re.findall(r"\\text\s*\{([^{}]*)\}", text) if changes_value(word)]


def _plain_sets(expression: Any) -> Any:
    """With sympy's own finite sets, which unlike the parser's take part in set operations."""
    return expression.replace(
        lambda part: isinstance(part, sympy.FiniteSet), lambda part: sympy.FiniteSet(*part.args)
    )


_UNEVALUATED = re.compile(r"\\(?:sum|prod|i+nt|lim|cap|cup|setminus|det|gcd|lcm|max|min)(?![a-z])")


def _evaluated(left: Any, right: Any) -> bool:
    """Equality after carrying out sums, integrals, limits and set operations."""
    try:
        left, right = (_plain_sets(side).doit() for side in (left, right))
        if isinstance(left, sympy.Set) and isinstance(right, sympy.Set):
            return bool(left == right)
        if not isinstance(left, sympy.Expr) or not isinstance(right, sympy.Expr):
            return False
        names = {symbol.name for symbol in left.free_symbols | right.free_symbols}
        if {symbol.name for symbol in left.free_symbols} != names:
            return False
        agreed = 0
        for point in sample_points(names, POINTS if names else 1):
            values = [
                side.subs(
                    {
                        s: sympy.Rational(*point[s.name].as_integer_ratio())
                        for s in side.free_symbols
                    }
                )
                for side in (left, right)
            ]
            difference = abs((values[0] - values[1]).evalf(30))
            scale = max(abs(value.evalf(30)) for value in values)
            if not difference.is_Float and not difference.is_Integer:
                continue
            if difference > sympy.Float(10) ** -20 * scale:
                return False
            agreed += 1
        return agreed > 0
    except (TypeError, ValueError, AttributeError, NotImplementedError, ArithmeticError):
        return False


def _passes_guards(left: Any, right: Any, gold: str, pred: str) -> bool:
    kinds = [isinstance(side, sympy.Tuple) for side in (left, right)]
    sets = [isinstance(side, sympy.FiniteSet) for side in (left, right)]
    if (kinds[0] and sets[1]) or (kinds[1] and sets[0]):
        return False
    if not all(isinstance(side, sympy.Expr) and not side.free_symbols for side in (left, right)):
        return True
    if "%" in gold + pred or left.has(sympy.Float) or right.has(sympy.Float):
        return True
    if left.is_Rational and right.is_Rational:
        return bool(left == right)
    if _UNEVALUATED.search(gold + pred):
        left, right = left.doit(), right.doit()
    a, b = left.evalf(30), right.evalf(30)
    if not (a.is_number and b.is_number):
        return True
    difference = abs((left - right).evalf(30))
    return bool(difference <= sympy.Float(10) ** -25 * max(abs(a), abs(b)))
