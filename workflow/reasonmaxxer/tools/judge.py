"""The command `judge`: was each completion right? JSON lines in, JSON lines with verdicts out."""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import tee
from pathlib import Path
from typing import Any

from .. import tables
from ..config import VerdictsConfig
from ..errors import UserError
from ..verifier.judge import judge_pairs
from .arguments import at_least

HELP = "judge completions against reference answers, JSONL to JSONL"
STANDARD_INPUT, STANDARD_OUTPUT = Path("-"), Path("/dev/stdout")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input",
        type=Path,
        default=STANDARD_INPUT,
        help="JSONL with gold (a text or a number) and completion; by default standard input",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=STANDARD_OUTPUT,
        help="JSONL with verdicts added; by default standard output",
    )
    parser.add_argument("--workers", type=at_least(1), default=1, help="worker processes")
    parser.add_argument(
        "--last-number", action="store_true", help="if no answer is marked, take the last number"
    )
    parser.add_argument(
        "--thinking",
        action="store_true",
        help="the prompts ended in <think> or its like: only what stands behind its end counts",
    )
    parser.add_argument(
        "--verifier",
        default="math",
        help="math, choice, exact, numeric, math-verify, or python:FILE:FUNCTION",
    )


def main(args: argparse.Namespace) -> None:
    """Judge each row of the input; the output keeps rows and order, and appears when complete."""
    from tqdm import tqdm

    rows, read = tee(_rows(args.input))
    pairs = ((str(row["gold"]), row["completion"]) for row in read)
    options = VerdictsConfig.from_json(json.dumps({"verifier": args.verifier}))
    verdicts = judge_pairs(
        pairs,
        workers=args.workers,
        last_number=args.last_number,
        options=options,
        thinking=args.thinking,
    )
    with tables.replacing(args.output) as partial, partial.open("wb") as file:
        judged = zip(rows, verdicts, strict=True)
        for row, verdict in tqdm(judged, desc="judge", unit="row", file=sys.stderr):
            file.write(_line(row | verdict._asdict()))


def _line(row: dict[str, Any]) -> bytes:
    try:
        return f"{json.dumps(row, ensure_ascii=False)}\n".encode()
    except UnicodeEncodeError:  # half a character, as the input had it
        return f"{json.dumps(row)}\n".encode()


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    standard = path == STANDARD_INPUT
    if not standard and (path.is_dir() or not path.exists()):
        raise UserError(f"{path}: no such file; --input takes JSONL with gold and completion")
    with sys.stdin.buffer if standard else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            place = f"{'standard input' if standard else path}: line {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                row = json.loads(text) if text.strip() else None
            except (ValueError, RecursionError) as error:
                raise UserError(f"{place}: not JSON ({str(error).split(';')[0]})") from error
            if text.strip():
                yield _checked(row, place)


def _checked(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise UserError(f"{place}: an object with gold and completion is needed")
    gold = row.get("gold")
    if isinstance(gold, bool) or not isinstance(gold, str | int | float) or gold != gold:
        raise UserError(f"{place}: gold: a text or a number is needed")
    if not isinstance(row.get("completion"), str):
        raise UserError(f"{place}: completion: a text is needed")
    return row
