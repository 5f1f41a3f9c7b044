"""Stage `pivotality`: which choices change the chance of a right answer.

Sampling is the command `continuations`; judging is apart from it, so that an edit of the verifier
samples nothing again. What the counts say is computed in `effects.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

from ..analysis.effects import POSITION
from .judging import add_judging_arguments, judge

HELP = "judge continuations, and count the right ones behind each alternative"

ALTERNATIVE = (*POSITION, "rank", "token_id", "logprob")


def counted(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table `pivotality` from judged continuations."""
    groups: dict[tuple[Any, ...], list[bool]] = {}
    for row in rows:
        place = tuple(row[key] for key in ALTERNATIVE)
        groups.setdefault(place, []).append(row["verdict"] == "correct")
    return [
        {
            **dict(zip(ALTERNATIVE, place, strict=True)),
            **{"continuations": len(right), "correct": sum(right)},
        }
        for place, right in groups.items()
    ]


# --- the command ------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_judging_arguments(parser, "continuations", "pivotality")


def main(args: argparse.Namespace) -> None:
    judge(args, "continuations", "pivotality", "pivotality_judged", into=counted)
