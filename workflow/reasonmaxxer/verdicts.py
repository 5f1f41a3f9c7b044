"""Stage `verdicts`: each completion against its reference, one bit and the reason for it."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import tables
from .config import VerdictsConfig
from .errors import UserError
from .provenance import provenance
from .verifier.judge import judge_pairs

HELP = "judge the completions of a rollouts table against the problems' answers"

ROWS_A_WRITE = 1024


def verdict_rows(
    rollouts: Path, problems: Path, config: VerdictsConfig, workers: int = 1
) -> Iterator[dict[str, Any]]:
    """Rows of table `verdicts`, in the order of the rollouts, streamed by row group.

    Raises `UserError` where a rollout's problem is not in `problems`.
    """
    problem_rows = tables.rows(problems, "problems", ["problem_id", "answer"])
    answers = {row["problem_id"]: row["answer"] for row in problem_rows}
    waiting: deque[dict[str, Any]] = deque()

    def pairs() -> Iterator[tuple[str, str]]:
        for row in tables.rows(rollouts, "rollouts", ["problem_id", "sample", "text"]):
            text, problem = row.pop("text"), row["problem_id"]
            if problem not in answers:
                raise UserError(
                    f"{rollouts}: problem_id: '{problem}' is not in {problems}; "
                    "the two are of different runs: make the rollouts again"
                )
            waiting.append(row)
            yield answers[problem], text

    for verdict in judge_pairs(pairs(), workers=workers, options=config):
        yield waiting.popleft() | verdict._asdict()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rollouts", required=True, type=Path, help="table of completions")
    parser.add_argument("--problems", required=True, type=Path, help="table of problems")
    parser.add_argument("--config", required=True, help="config section `verdicts`, as JSON")
    parser.add_argument("--workers", type=int, default=1, help="worker processes")
    parser.add_argument("--out", required=True, type=Path, help="table to write")


def main(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    config = VerdictsConfig.from_json(args.config)
    made_by = provenance("verdicts", config.model_dump(mode="json"), [args.rollouts, args.problems])
    rows = tqdm(
        verdict_rows(args.rollouts, args.problems, config, args.workers),
        total=tables.num_rows(args.rollouts, "rollouts"),
        desc="verdicts",
        unit="row",
        file=sys.stderr,
    )
    batch: list[dict[str, Any]] = []
    with tables.open_writer(args.out, "verdicts", made_by) as writer:
        for row in rows:
            batch.append(row)
            if len(batch) == ROWS_A_WRITE:
                writer.write(batch)
                batch = []
        writer.write(batch)
