"""An answer taken apart: lists, tuples, sets, unions, matrices, equations, inequalities, ratios."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .latex import enclosed, split_top, trim
from .numerals import parse_number

MAX_PARTS = 64

_SEMICOLON = re.compile(r"\s*;\s*")
_COMMA = re.compile(
    r"\s*,?\s*(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])\s*|\s*,?\s*(?<=[\d)}\]])(?:and|or)(?=[A-Z\d(\\-])\s*"
    r"|\s*,\s*"
)
_CUP = re.compile(r"\s*(?:\\cup(?![a-zA-Z])|(?<=[)\]}])\s*U\s*(?=[(\[\\{]))\s*")
_RELATION = re.compile(
    r"\s*(=|<|>|\\(?:le|ge|ne|approx|sim|in|equiv|notin|subset|subseteq)(?![a-zA-Z]))\s*"
)
_RATIO = re.compile(r"\s*:\s*")
FLIP = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", "=": "=", r"\ne": r"\ne"}
_MATRIX = re.compile(
    r"\\begin\s*\{(?P<kind>[pbB]?matrix|smallmatrix|array)\}(?:\s*\{[lcr|\s]*\})?"
    r"(?P<body>(?:(?!\\begin).)*)\\end\s*\{(?P=kind)\}",
    re.DOTALL,
)
_CASES = re.compile(r"\\begin\s*\{cases\}(?P<body>(?:(?!\\begin).)*)\\end\s*\{cases\}", re.DOTALL)
_IF = re.compile(r",?\s*\\text\s*\{\s*,?\s*(?:if|when|for|otherwise|else)\b")
_CONDITION = re.compile(r"(?:\s*(?:if|when|for|where|as|,|:))*\s*")
_OTHERWISE = re.compile(r"(?:otherwise|else|elsewhere|in other cases)")
_COMPLEMENT = re.compile(
    r"\\mathbb\{R\}\s*(?:\\setminus(?![a-z])|-)\s*(?P<points>\\\{.*\\\}|\{.*\}|-?[\w.]+)"
)
_TRANSPOSED = re.compile(
    r"([(\[][^()\[\]]*,[^()\[\]]*[)\]]|\\begin\s*\{(?P<kind>[pbB]?matrix)\}(?:(?!\\\\|\\begin).)*"
    r"\\end\s*\{(?P=kind)\})\s*\^\s*\{?\s*(?:T|\\top|\\intercal|\\text\s*\{T\})\s*\}?"
)
_MAPS_TO = re.compile(r"^([a-zA-Z])\s*:\s*([a-z])\s*\\mapsto(?![a-z])\s*")
_POINT = re.compile(r"(?:[A-Z]'*|\\text\s*\{[^{}\d]*\})\s*(?P<place>\(.*\))")
_SET_BUILDER = re.compile(
    r"\s*[A-Za-z]\s*(?:(?:\\in\s*\\mathbb\{R\}\s*)?[|:]"
    r"|\\in\s*\\mathbb\{R\}\s*[;,])(?P<condition>.+)"
)
_SIMPLE_SIDE = re.compile(
    r"(?:[A-Za-z]|\\[A-Za-z]+)(?:\s*_\s*(?:\{[^{}]*\}|\w))?'*(?:\s*\([^()=]*\)|\s*\{[^{}=]*\}|\s*_\s*\w"
    r"|\s*[A-Za-z])*"
)


@dataclass(frozen=True)
class Shape:
    """An answer taken apart: its kind, its parts, and for bracketed ones the brackets."""

    # list set tuple union complement matrix cases ratio equation inequality leaf
    kind: str
    text: str
    parts: tuple[Shape, ...] = ()
    marks: tuple[str, ...] = ()  # brackets of a tuple, signs of a relation, sizes of matrix rows


def take_apart(text: str, depth: int = 0) -> Shape:
    """The outermost structure of a normalised answer, recursively."""
    text = _MAPS_TO.sub(r"\1(\2)=", trim(text))
    if depth > 6 or parse_number(text):
        return Shape("leaf", text)
    if cases := _CASES.fullmatch(text):
        return _cases(text, cases["body"], depth)
    for separator in (_SEMICOLON, _COMMA):
        parts = [part for part in split_top(text, separator) if part.strip()]
        if len(parts) > 1:
            return _listing(text, parts[: MAX_PARTS + 1], depth)
    if relation := _relation(text, depth):
        return relation
    return _expression(text, depth)


def _listing(text: str, parts: list[str], depth: int) -> Shape:
    if len(parts) > MAX_PARTS:
        return Shape("leaf", text)
    shapes: list[Shape] = []
    for part in parts:
        shape = take_apart(part, depth + 1)
        if shape.kind == "list" and all(p.kind == "equation" for p in shape.parts):
            shape = replace(shape, kind="tuple", marks=("(", ")"))  # p=5,q=2; p=7,q=2
        shapes.extend(shape.parts if shape.kind == "list" else [shape])
    return Shape("list", text, tuple(_solutions(shapes)))


def _solutions(shapes: list[Shape]) -> list[Shape]:
    """p=5, q=2, p=7, q=2 as two solutions (p=5, q=2), (p=7, q=2); any other list as it is."""
    names = [s.parts[0].text.strip() for s in shapes if s.kind == "equation"]
    size = len(set(names))
    if len(names) < len(shapes) or size < 2 or size == len(names) or len(names) % size:
        return shapes
    if any(name != names[i % size] for i, name in enumerate(names)):
        return shapes
    groups = [shapes[i : i + size] for i in range(0, len(shapes), size)]
    return [Shape("tuple", ", ".join(s.text for s in g), tuple(g), ("(", ")")) for g in groups]


def _cases(text: str, body: str, depth: int) -> Shape:
    """Equations that hold together, or values with their conditions (an empty one: otherwise)."""
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\cr", body) if row.strip()]
    rows = [re.sub(r"&\s*(?=[=<>]|\\(?:le|ge|ne))", "", row) for row in rows]
    if "&" not in body:  # "3x, if x > 0" without a column for the condition
        rows = [_IF.sub(r"&\g<0>", row, count=1) for row in rows]
    if len(rows) > MAX_PARTS or not all(row.count("&") == 1 for row in rows):
        return _listing(text, [row.replace("&", " ") for row in rows], depth)
    parts = []
    for row in rows:
        value, condition = (trim(cell) for cell in row.split("&"))
        condition = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", condition)
        condition = _CONDITION.sub("", condition, count=1)
        if _OTHERWISE.search(condition):
            condition = ""
        pair = (take_apart(value, depth + 1), take_apart(condition, depth + 1))
        parts.append(Shape("tuple", row, pair, ("(", ")")))
    return Shape("cases", text, tuple(parts))


def _relation(text: str, depth: int) -> Shape | None:
    sides = split_top(text, _RELATION)
    if len(sides) < 2:
        return None
    signs = _signs(text, sides)
    sides = [side.strip() for side in sides]
    if not sides[0] and signs[0] in ("=", r"\approx"):  # "= 5", "\approx 3.14"
        return take_apart(_join(sides[1:], signs[1:]), depth + 1)
    if r"\approx" in signs or r"\sim" in signs:  # keep the exact part: 1/3 \approx 0.33
        cut = next(i for i, sign in enumerate(signs) if sign in (r"\approx", r"\sim"))
        if cut == 0 and is_name(sides[0]):
            return take_apart(sides[1], depth + 1)
        return take_apart(_join(sides[: cut + 1], signs[:cut]), depth + 1)
    if signs == [r"\in"]:
        return take_apart(sides[1], depth + 1)
    if not all(sides[1:]) or not set(signs) <= set(FLIP):
        return Shape("leaf", text)
    parts = tuple(take_apart(side, depth + 1) for side in sides)
    if set(signs) == {"="}:
        return Shape("equation", text, parts)
    return Shape("inequality", text, parts, tuple(signs))


def _signs(text: str, sides: list[str]) -> list[str]:
    signs, position = [], 0
    for side in sides[:-1]:
        match = _RELATION.match(text, position + len(side))
        assert match is not None  # split_top cut exactly there
        signs.append(match[1])
        position = match.end()
    return signs


def _join(sides: list[str], signs: list[str]) -> str:
    text = sides[0]
    for sign, side in zip(signs, sides[1:], strict=True):
        text += f"{sign} {side}"
    return text


def _expression(text: str, depth: int) -> Shape:
    pieces = split_top(text, _CUP)
    if len(pieces) > 1:
        parts = tuple(take_apart(piece, depth + 1) for piece in pieces)
        if all(part.kind == "set" for part in parts):
            return Shape("set", text, tuple(p for part in parts for p in part.parts))
        return Shape("union", text, parts)
    if complement := _COMPLEMENT.fullmatch(text):
        points = take_apart(complement["points"], depth + 1)
        if points.kind == "list":  # \\{\\pm 1\\}
            points = Shape("set", "", tuple(p for s in points.parts for p in s.parts or (s,)))
        if points.kind in ("leaf", "set"):
            return Shape("complement", text, points.parts or (points,))
    if transposed := _TRANSPOSED.fullmatch(text):
        row = take_apart(transposed[1], depth + 1)
        return replace(row, marks=("1",) * len(row.parts)) if row.kind == "matrix" else row
    if match := _MATRIX.fullmatch(text.strip("()[] ")):
        return _matrix(text, match["body"], depth)
    if "\\pm" in text and (both := _plus_minus(text, depth)):
        return both
    if (bracket := enclosed(text)) and (shape := _bracketed(text, bracket, depth)):
        return shape
    ratio = split_top(text, _RATIO)
    if len(ratio) > 1 and all(part.strip() for part in ratio):
        return Shape("ratio", text, tuple(Shape("leaf", part.strip()) for part in ratio))
    return Shape("leaf", text)


def _bracketed(text: str, bracket: tuple[str, str, str], depth: int) -> Shape | None:
    opener, content, closer = bracket
    parts = [p for s in split_top(content, _SEMICOLON) for p in split_top(s, _COMMA) if p.strip()]
    if len(parts) > MAX_PARTS:
        return None
    content = content.replace(r"\text{ such that }", "|")
    if opener == r"\{" and (builder := _SET_BUILDER.fullmatch(content)):
        return take_apart(builder["condition"], depth + 1)
    if opener in (r"\{", "{"):
        if opener == "{" and len(parts) == 1:
            return take_apart(content, depth + 1)
        shapes: list[Shape] = []
        for part in parts:
            shape = take_apart(part, depth + 1)
            shapes.extend(shape.parts if shape.kind == "list" else [shape])
        return Shape("set", text, tuple(shapes))
    if len(parts) == 1 and not content.rstrip().endswith(","):
        inner = take_apart(content, depth + 1)
        if opener == "(" and closer == ")":
            return inner
        return Shape("tuple", text, (inner,), (opener, closer))  # [5] is a list of one
    return Shape(
        "tuple", text, tuple(take_apart(part, depth + 1) for part in parts), (opener, closer)
    )


def _matrix(text: str, body: str, depth: int) -> Shape:
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\cr", body) if row.strip(" \\")]
    cells = [[trim(cell) for cell in row.replace(r"\hline", "").split("&")] for row in rows]
    parts = tuple(take_apart(cell, depth + 1) for row in cells for cell in row)
    return Shape("matrix", text, parts, tuple(str(len(row)) for row in cells))


def _plus_minus(text: str, depth: int) -> Shape | None:
    if text.count(r"\pm") != 1 or r"\mp" in text:
        return None
    upper = re.sub(r"\\pm\s*", "+", text)
    lower = re.sub(r"\\pm\s*", "-", text)
    return Shape("list", text, (take_apart(upper, depth + 1), take_apart(lower, depth + 1)))


def as_point(shape: Shape, size: int) -> Shape | None:
    """P(3,-4) or 3i - 4j as a tuple of `size` parts; None for any other leaf."""
    if shape.kind != "leaf" or len(shape.text) > 200:
        return None
    if match := _POINT.fullmatch(shape.text):
        place = take_apart(match["place"])
        return place if place.kind == "tuple" else None
    terms = re.findall(r"[+-]?[^+-]+", re.sub(r"\s", "", shape.text))
    parts: dict[str, str] = {}
    for term in terms:
        sign = term[0] if term[0] in "+-" else ""
        body = term[len(sign) :]
        if body[-1:] not in ("i", "j", "k") or body[-2:-1] == "\\" or body[-1] in parts:
            return None
        value = body[:-1].rstrip("*") or "1"
        parts[body[-1]] = ("-" if sign == "-" else "") + value
    if size not in (2, 3) or not parts or set(parts) - set("ijk"[:size]):
        return None
    leaves = tuple(take_apart(parts.get(name, "0")) for name in "ijk"[:size])
    return Shape("tuple", shape.text, leaves, ("(", ")"))


def is_name(side: str) -> bool:
    """Whether a side of an equation only names what it equals: x, f(x), a_3, \\angle ABC, |AB|."""
    side = side.strip()
    inner = side.strip("|")
    if bracket := enclosed(side):
        return bracket[0] == "(" and all(is_name(p) for p in split_top(bracket[1], _COMMA))
    if ":" in inner:
        return all(is_name(part) for part in inner.split(":"))
    if fraction := re.fullmatch(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", inner):
        return is_name(fraction[1]) and is_name(fraction[2])
    if not inner or re.match(r"\\(?:frac|sqrt|pi|sum|int|prod|infty|text\s*\{\s*\d)", inner):
        return False
    if re.fullmatch(r"\\text\s*\{[^{}]*\}|[A-Za-z][A-Za-z ]*", inner):
        return True
    return _SIMPLE_SIDE.fullmatch(inner) is not None


_PLAIN_NAMES = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?'*(?:\s*[-+*]?\s*[A-Za-z](?:_\{?\w+\}?)?'*)*")
_CONDITION_SIGN = re.compile(r"\d|\^|[-+*/]|\\frac|\\sqrt")
_VARIABLE = re.compile(r"(?<![A-Za-z\\])[a-zA-Z](?![A-Za-z])")


def is_condition(side: str) -> bool:
    """Whether an equation with this side is a condition on its letters: x^2 - 4, 3x + 4y, x + 1.

    What only names a quantity is none: a + b, AB^2, \\sin A, a sum or an integral.
    """
    side = side.strip()
    if _PLAIN_NAMES.fullmatch(side) or re.match(r"\\(?!frac|sqrt|left)[A-Za-z]+|[A-Z]{2}", side):
        return False
    bare = re.sub(r"\\text\s*\{[^{}]*\}|\\[A-Za-z]+|(?<![A-Za-z])[ei](?![A-Za-z])", " ", side)
    bare = re.sub(r"\w*\([^()]*\)", "", bare) if re.match(r"[A-Za-z]\w*\(", bare) else bare
    return bool(_VARIABLE.search(bare) and _CONDITION_SIGN.search(side))
