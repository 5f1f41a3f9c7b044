"""Overlap between splits: one problem in two of them makes a benchmark's figure worthless."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..errors import UserError

QUOTES = str.maketrans("‘’“”–−", "''\"\"--")
SHOWN = 5

Problem = dict[str, Any]


def normalise(text: str) -> str:
    """A problem's text such that two copies of one problem agree.

    Unicode compatibility forms, case, whitespace, LaTeX spacing, sizes, braces and delimiters do
    not count, nor does punctuation except within a number.
    """
    text = unicodedata.normalize("NFKC", text).casefold().translate(QUOTES)
    text = re.sub(r"\\[dt]frac(?![a-z])", r"\\frac", text)
    text = re.sub(r"\\(left|right|displaystyle|text|mathrm|q?quad)(?![a-z])", "", text)
    text = re.sub(r"\\[,;:!>\[\]() ]|[\s~${}]", "", text)
    return re.sub(r"\?|(?<!\d)[.,;:]|[.,;:](?!\d)", "", text)


def without_doubles(problems: list[Problem]) -> tuple[list[Problem], int]:
    """The first of each normalised text, and how many were left out."""
    first = {normalise(row["problem"]): row for row in reversed(problems)}
    kept = [row for row in problems if first[normalise(row["problem"])] is row]
    return kept, len(problems) - len(kept)


def without_overlap(
    problems: list[Problem], split: str, others: Mapping[str, list[Problem]], mode: str
) -> tuple[list[Problem], dict[str, int]]:
    """`problems` of a split without those that stand in one of `others`, and counts by other.

    With mode `fail` an overlap raises `UserError` listing up to five of them.
    """
    known: dict[str, tuple[str, str]] = {}
    for name, rows in others.items():
        for row in rows:
            known.setdefault(normalise(row["problem"]), (name, row["problem_id"]))
    twins = [known.get(normalise(row["problem"])) for row in problems]
    pairs = [(row, twin) for row, twin in zip(problems, twins, strict=True) if twin is not None]
    if pairs and mode == "fail":
        lines = [f"{row['problem_id']} is {twin[1]} of {twin[0]}" for row, twin in pairs]
        raise UserError(
            f"problems.{split}: {len(pairs)} of its problems are also in another split:\n"
            f"{listed(lines)}\n"
            "set problems.overlap: drop to leave them out, or change the sources"
        )
    kept = [row for row, twin in zip(problems, twins, strict=True) if twin is None]
    if not kept:
        raise UserError(f"problems.{split}: all of its problems are also in another split")
    return kept, dict(Counter(twin[0] for _, twin in pairs))


def listed(lines: list[str]) -> str:
    """The first lines, indented, and how many more there are."""
    more = f"\n  and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "\n".join(f"  {line}" for line in lines[:SHOWN]) + more
