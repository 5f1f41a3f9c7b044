"""Stage `evaluation`: an arm's completions on a benchmark, judged.

Sampling is the command `rollouts`; judging is apart from it, so that an edit of the verifier
judges again what was sampled and samples nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import tables
from .config import VerdictsConfig
from .provenance import provenance
from .verifier.judge import judge_pairs

HELP = "judge an arm's completions on a benchmark"


def judged(
    rows: list[dict[str, Any]], answers: dict[str, str], verdicts: VerdictsConfig, workers: int = 1
) -> Iterator[dict[str, Any]]:
    """Completion rows with the verifier's columns added; `answers` maps problem ids to gold."""
    pairs = ((answers[row["problem_id"]], row["text"]) for row in rows)
    results = judge_pairs(
        pairs, workers=workers, last_number=verdicts.last_number, options=verdicts
    )
    for row, result in zip(rows, results, strict=True):
        yield {
            **row,
            "verdict": result.verdict,
            "answer": result.answer,
            "rule": result.rule,
            "reason": result.reason,
        }


def reference_answers(problems: Path) -> dict[str, str]:
    """The reference answer of each problem id."""
    rows = tables.rows(problems, "problems", ["problem_id", "answer"])
    return {row["problem_id"]: row["answer"] for row in rows}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--completions", required=True, type=Path, help="table of rollouts")
    parser.add_argument("--problems", required=True, type=Path, help="table of problems")
    parser.add_argument("--config", required=True, help="config section `verdicts`, as JSON")
    parser.add_argument("--workers", type=int, default=1, help="processes for slow comparisons")
    parser.add_argument("--out", required=True, type=Path, help="table `evaluation` to write")


def main(args: argparse.Namespace) -> None:
    verdicts = VerdictsConfig.from_json(args.config)
    answers = reference_answers(args.problems)
    inputs = [args.completions, args.problems]
    made_by = provenance("evaluation", verdicts.model_dump(mode="json"), inputs)
    with tables.open_writer(args.out, "evaluation", made_by) as writer:
        for group in tables.iter_batches(args.completions, "rollouts"):
            writer.write(list(judged(group.to_pylist(), answers, verdicts, args.workers)))
