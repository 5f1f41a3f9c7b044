"""Sets of real numbers however they are written: inequalities, intervals, unions, complements."""

import re
from collections.abc import Iterable
from itertools import pairwise

from . import formula
from .fields import DOUBLE, values_at
from .latex import canonical
from .shapes import FLIP, Shape, is_name
from .words import COMPARISONS

_REALS = r"\\mathbb\{R\}"
_ALL = r"(?:the set of )?(?:all|any|every)(?: of the)?(?: the)?"
_REAL = (
    r"(?:real(?: numbers?| values?)?s?|numbers?|reals|values?)(?: [a-z](?![a-z]))?(?: of [a-z])?"
)
_PREFIX = rf"^(?:[a-z] (?:is|can be) )?{_ALL} {_REAL}"
_SIGNS = {"positive": "x>0", "negative": "x<0", "non-?negative": r"x\\ge 0"}
_SIGNS |= {"non-?positive": r"x\\le 0", "non-?zero": r"x\\ne 0"}
_WORDS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in [
        (rf"{_PREFIX}$|^(?:the )?(?:set of )?(?:all )?real numbers$|^all reals?$", r"\\mathbb{R}"),
        (
            rf"(?:{_PREFIX}|^{_REALS}|^{_ALL} [a-z]),? (?:except(?: for)?|other than|but|excluding"
            r"|not equal to|different from|without)(?: [a-z] ?=)? ?"
            r"(?P<points>[^a-z]*(?:\\[a-z]+[^a-z]*)*"
            r"(?:and [^a-z]+)?)$",
            "except",
        ),
        (
            rf"(?:{_PREFIX}|^{_ALL} [a-z]),? (?:such that|with|where|for which|satisfying) (.+)$",
            r"\1",
        ),
        (rf"{_PREFIX} ([<>]|\\(?:le|ge|ne)(?![a-z]))(.+)$", r"x\1\2"),
        (rf"^{_ALL} ([a-z] ?(?:[<>]|\\(?:le|ge|ne)(?![a-z])).+)$", r"\1"),
        *((rf"{_PREFIX} (?:{words}) (.+)$", rf"x{sign}\1") for words, sign in COMPARISONS),
        (rf"^{_REALS}\s*[_^]\s*\{{?\+\}}?$", r"(0,\\infty )"),
        (rf"^{_REALS}\s*[_^]\s*\{{?\s*([<>]|\\(?:le|ge|ne))\s*(\d+)\s*\}}?$", r"x\1 \2"),
        (rf"^{_REALS}\s*\^\s*\{{?\*\}}?$", r"\\mathbb{R}\\setminus \\{0\\}"),
        *((rf"^(?:{_ALL} )?{sign} {_REAL}$", bound) for sign, bound in _SIGNS.items()),
    ]
]


def in_symbols(text: str) -> str:
    """A set described in words, such as "all real numbers except 3", as a formula."""
    if len(text) > 200 or not re.search(r"all|any |every|except|real|\}\s*[_^]", text):
        return text
    plain = " ".join(re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text).split())
    for pattern, replacement in _WORDS:
        if match := pattern.search(plain):
            if replacement == "except":
                points = match["points"].replace(" and ", ", ")
                return rf"\mathbb{{R}}\setminus \{{{points}\}}"
            return pattern.sub(replacement, plain)
    return text


# --- as a union of intervals --------------------------------------------------------------------

_INFINITY = r"\infty "


def value_of(text: str) -> float | None:
    """The real value of a constant formula, None where it has none."""
    if canonical(text) in (r"\infty", r"+\infty"):
        return float("inf")
    if canonical(text) == r"-\infty":
        return float("-inf")
    try:
        value = next(values_at(formula.parse(text), DOUBLE, [{}]))
    except (formula.FormulaError, KeyError):
        return None
    return value.real if value is not None and abs(value.imag) < 1e-12 else None


def _between(low: Shape, high: Shape, marks: tuple[str, str]) -> Shape:
    text = f"{marks[0]}{low.text},{high.text}{marks[1]}"
    return Shape("tuple", text, (low, high), marks)


def _stands_for_x(side: Shape) -> bool:
    return side.text == "" or is_name(side.text)


def interval(shape: Shape) -> Shape | None:
    """a <= x < b as the interval [a, b); None where it is no such inequality."""
    sides, signs = list(shape.parts), list(shape.marks)
    if any(sign not in ("<", ">", r"\le", r"\ge") for sign in signs):
        return None
    if len({sign in ("<", r"\le") for sign in signs}) > 1:
        return None
    if signs[0] in (">", r"\ge"):
        sides, signs = sides[::-1], [FLIP[sign] for sign in reversed(signs)]
    if len(sides) == 3 and _stands_for_x(sides[1]):
        low, high, left, right = sides[0], sides[2], signs[0], signs[1]
    elif len(sides) == 2 and _stands_for_x(sides[0]):
        low, high, left, right = Shape("leaf", "-" + _INFINITY), sides[1], "<", signs[0]
    elif len(sides) == 2 and _stands_for_x(sides[1]):
        low, high, left, right = sides[0], Shape("leaf", _INFINITY), signs[0], "<"
    else:
        return None
    return _between(low, high, ("[" if left == r"\le" else "(", "]" if right == r"\le" else ")"))


def named(inequality: Shape) -> str:
    """The name that an inequality bounds, "" where it has none."""
    return next((canonical(p.text) for p in inequality.parts if is_name(p.text)), "")


def as_union(shape: Shape) -> Shape | None:
    """Intervals, inequalities, lists of them and all reals but some points, as a union."""
    if shape.kind == "union":
        return shape
    if shape.kind == "complement":
        return _all_but(shape.parts)
    if shape.kind == "tuple" and len(shape.parts) == 2:
        return Shape("union", shape.text, (shape,))
    pieces = (shape,) if shape.kind == "inequality" else shape.parts
    if shape.kind not in ("inequality", "list", "set") or not pieces:
        return None
    if excluded := _excluded(pieces):
        return _all_but(excluded)
    if len({named(piece) for piece in pieces}) > 1:
        return None
    found = tuple(filter(None, map(_piece, pieces)))
    if len(found) != len(pieces):
        return None
    if len(found) == 2 and (both := _intersection(found)):
        found = (both,)
    return Shape("union", shape.text, found)


def _piece(shape: Shape) -> Shape | None:
    """A part of a list of intervals: a tuple is one if it reaches to infinity."""
    if shape.kind == "inequality":
        return interval(shape)
    return shape if shape.kind == "tuple" and _INFINITY.strip() in shape.text else None


def _excluded(pieces: tuple[Shape, ...]) -> list[Shape]:
    """The points of x != a, x != b (or x != a, b); [] where the pieces are anything else."""
    points: list[Shape] = []
    for piece in pieces:
        if piece.kind == "inequality" and piece.marks == (r"\ne",) and is_name(piece.parts[0].text):
            points.append(piece.parts[1])
        elif points and piece.kind == "leaf":
            points.append(piece)
        else:
            return []
    return points


def _all_but(points: Iterable[Shape]) -> Shape | None:
    """The open intervals between these points; None where they cannot be put in order."""
    values = {}
    for point in points:
        value = value_of(point.text)
        if value is None:
            return None
        values[value] = point
    ends = [Shape("leaf", "-" + _INFINITY), *(values[v] for v in sorted(values))]
    ends.append(Shape("leaf", _INFINITY))
    pieces = tuple(_between(a, b, ("(", ")")) for a, b in pairwise(ends))
    return Shape("union", "", pieces)


def _intersection(pair: tuple[Shape, ...]) -> Shape | None:
    """x > 1, x < 3 as (1, 3): the union of the two would be everything."""
    for low, high in (pair, pair[::-1]):
        bottom, top = value_of(low.parts[0].text), value_of(high.parts[1].text)
        ends = value_of(low.parts[1].text), value_of(high.parts[0].text)
        if ends != (float("inf"), float("-inf")) or bottom is None or top is None:
            continue
        if bottom < top:
            return _between(low.parts[0], high.parts[1], (low.marks[0], high.marks[1]))
    return None
