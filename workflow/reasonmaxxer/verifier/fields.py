"""The numbers a formula is evaluated in: exact fractions, and complex numbers in double precision.

Both are bounded: what would take long or grow large has no value here (FormulaError).
"""

import cmath
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .formula import FormulaError, Tree, operations, variables


@dataclass(frozen=True)
class Field:
    """The numbers a tree is evaluated in."""

    number: Callable[[str], Any]
    constants: dict[str, Any]
    power: Callable[[Any, Any], Any]
    functions: dict[str, Callable[..., Any]]


def evaluate(tree: Tree, field: Field, point: dict[str, Any]) -> Any:
    """Value of `tree` with the variables at `point`; FormulaError where it has none."""
    head = tree[0]
    if head == "number":
        return field.number(tree[1])
    if head == "variable":
        return point[tree[1]]
    if head == "constant":
        if tree[1] not in field.constants:
            raise FormulaError(tree[1])
        return field.constants[tree[1]]
    values = [evaluate(part, field, point) for part in tree[1:]]
    if head == "+":
        return values[0] + values[1]
    if head == "-":
        return values[0] - values[1]
    if head == "*":
        return values[0] * values[1]
    if head == "/":
        return values[0] / values[1]
    if head == "neg":
        return 0 - values[0]  # unlike -x, no negative zero beside a branch cut
    if head == "%":
        return values[0] / 100
    if head == "^":
        return field.power(values[0], values[1])
    if head not in field.functions:
        raise FormulaError(head)
    return field.functions[head](*values)


def values_at(tree: Tree, field: Field, points: list[dict[str, Any]]) -> Iterator[Any]:
    """The value at each point; None where there is none (a pole, an overflow, no real number)."""
    for point in points:
        try:
            yield evaluate(tree, field, point)
        except (FormulaError, ArithmeticError, ValueError, TypeError):
            yield None


MAX_BITS = 50_000


def _fraction_power(base: Fraction, exponent: Fraction) -> Fraction:
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if exponent.denominator != 1 or bits * abs(exponent) > MAX_BITS:
        raise FormulaError("power")
    return base**exponent.numerator


def _integer(value: Fraction, limit: int) -> int:
    if value.denominator != 1 or not 0 <= value <= limit:
        raise FormulaError("whole number expected")
    return value.numerator


EXACT = Field(
    Fraction,
    {},
    _fraction_power,
    {
        "abs": abs,
        "floor": lambda x: Fraction(math.floor(x)),
        "ceil": lambda x: Fraction(math.ceil(x)),
        "!": lambda x: Fraction(math.factorial(_integer(x, 3000))),
        "binom": lambda n, k: Fraction(math.comb(_integer(n, 3000), _integer(k, 3000))),
    },
)


def _whole(value: complex, limit: int) -> int:
    if value.imag or value.real != int(value.real) or not 0 <= value.real <= limit:
        raise FormulaError("whole number expected")
    return int(value.real)


def _real(value: complex) -> float:
    if abs(value.imag) > 1e-12 * (1 + abs(value)):
        raise FormulaError("real number expected")
    return value.real


def _double_root(index: complex, value: complex) -> complex:
    """The real root of a negative number where its index is odd."""
    if value.imag == 0 and value.real < 0 and index.real % 2 == 1:
        return complex(-((-value.real) ** (1 / index.real)))
    return _double_power(value, 1 / index)


def _double_power(base: complex, exponent: complex) -> complex:
    if abs(exponent) > 1e5:
        raise FormulaError("power")
    value = complex(base) ** complex(exponent)
    if value != value or abs(value) == math.inf:
        raise OverflowError
    return value


_DOUBLE_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sqrt": cmath.sqrt,
    "root": _double_root,
    "abs": lambda x: complex(abs(x)),
    "floor": lambda x: complex(math.floor(_real(x) + 1e-12)),
    "ceil": lambda x: complex(math.ceil(_real(x) - 1e-12)),
    "!": lambda x: complex(math.factorial(_whole(x, 100))),
    "Gamma": lambda x: complex(math.gamma(_real(x))),
    "binom": lambda n, k: complex(math.comb(_whole(n, 500), _whole(k, 500))),
    "°": lambda x: x * math.pi / 180,
    "ln": cmath.log,
    "exp": cmath.exp,
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "sec": lambda x: 1 / cmath.cos(x),
    "csc": lambda x: 1 / cmath.sin(x),
    "cot": lambda x: 1 / cmath.tan(x),
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
    "arccot": lambda x: cmath.atan(1 / x),
    "coth": lambda x: 1 / cmath.tanh(x),
    "sech": lambda x: 1 / cmath.cosh(x),
    "csch": lambda x: 1 / cmath.sinh(x),
    "arcsinh": cmath.asinh,
    "arccosh": cmath.acosh,
    "arctanh": cmath.atanh,
}
DOUBLE = Field(
    lambda text: complex(float(text)),
    {"pi": complex(math.pi), "e": complex(math.e), "i": 1j},
    _double_power,
    _DOUBLE_FUNCTIONS,
)


def points_for(trees: tuple[Tree, Tree], count: int) -> list[dict[str, Fraction]]:
    """Points at which two formulas are compared, one where they have no variables.

    Where both have roots, and neither an absolute value, letters stand for positive quantities:
    sqrt(2E/m) is sqrt(2Em)/m.
    """
    names = variables(trees[0]) | variables(trees[1])
    used = [operations(tree) for tree in trees]
    lengths = all("sqrt" in one and "abs" not in one for one in used)
    return sample_points(names, count if names else 1, positive=lengths)


def sample_points(
    names: set[str], count: int, *, positive: bool = False
) -> list[dict[str, Fraction]]:
    """`count` fixed points for these variables: positive, negative and whole ones in turn.

    The values depend on the names alone, so that a verdict is the same in every process.
    """
    points = []
    for k in range(count):
        point = {}
        for name in sorted(names):
            draw = zlib.crc32(f"{k}:{name}".encode())
            if k % 3 == 2:
                point[name] = Fraction(2 + draw % 7 + k)
            else:
                value = Fraction(draw % 8999 + 1000, 3701)
                point[name] = -value if k % 3 == 1 and not positive else value
        points.append(point)
    return points
