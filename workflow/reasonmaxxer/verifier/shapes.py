"""An answer taken apart: lists, tuples, sets, unions, matrices, equations, inequalities, ratios."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .latex import enclosed, parse_number, split_top, trim

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
    r"\\begin\s*\{(?P<kind>[pbBvV]?matrix|smallmatrix|array)\}(?:\s*\{[lcr|\s]*\})?"
    r"(?P<body>(?:(?!\\begin).)*)\\end\s*\{(?P=kind)\}",
    re.DOTALL,
)
_CASES = re.compile(r"\\begin\s*\{cases\}(?P<body>[^&]*)\\end\s*\{cases\}")
_SET_BUILDER = re.compile(r"\s*[A-Za-z]\s*(?:\\in\s*\\mathbb\{R\}\s*)?[|:](?P<condition>.+)")
_SIMPLE_SIDE = re.compile(
    r"(?:[A-Za-z]|\\[A-Za-z]+)(?:\s*_\s*(?:\{[^{}]*\}|\w))?'*(?:\s*\([^()=]*\)|\s*\{[^{}=]*\}|\s*_\s*\w"
    r"|\s*[A-Za-z])*"
)


@dataclass(frozen=True)
class Shape:
    """An answer taken apart: its kind, its parts, and for bracketed ones the brackets."""

    kind: str  # list | set | tuple | union | matrix | ratio | equation | inequality | leaf
    text: str
    parts: tuple[Shape, ...] = ()
    marks: tuple[str, ...] = ()  # brackets of a tuple, signs of a relation, sizes of matrix rows


def take_apart(text: str, depth: int = 0) -> Shape:
    """The outermost structure of a normalised answer, recursively."""
    text = trim(text)
    if depth > 6 or parse_number(text):
        return Shape("leaf", text)
    if cases := _CASES.fullmatch(text):
        return _listing(text, [row for row in cases["body"].split("\\\\") if row.strip()], depth)
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
    return Shape("list", text, tuple(shapes))


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
    if not all(sides) or not set(signs) <= set(FLIP):
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
