"""Stage `pivotality`: which choices change the chance of a right answer.

Sampling is the command `continuations`; judging is apart from it, so that an edit of the verifier
samples nothing again. What the counts say is computed in `effects.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import tables
from ..config import VerdictsConfig
from ..evaluation import judged, reference_answers
from ..provenance import provenance
from .effects import POSITION

HELP = "judge continuations, and count the right ones behind each alternative"

ALTERNATIVE = (*POSITION, "rank", "token_id", "logprob")


def counted(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
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
    parser.add_argument("--continuations", required=True, type=Path, help="their table")
    parser.add_argument("--problems", required=True, type=Path, help="table of problems")
    parser.add_argument("--config", required=True, help="config section `verdicts`, as JSON")
    parser.add_argument("--workers", type=int, default=1, help="processes that compare")
    parser.add_argument("--out", required=True, type=Path, help="table `pivotality` to write")


def main(args: argparse.Namespace) -> None:
    config = VerdictsConfig.from_json(args.config)
    inputs = [args.continuations, args.problems]
    made_by = provenance("footprint.pivotality", config.model_dump(mode="json"), inputs)
    rows = list(tables.rows(args.continuations, "continuations"))
    answers = reference_answers(args.problems)
    found = counted(list(judged(rows, answers, config, args.workers)))
    tables.write(args.out, "pivotality", found, made_by)
