"""Judging a table of completions: one way for every stage that does it."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import tables
from ..config import VerdictsConfig
from ..errors import UserError
from ..tables.artefacts import remedy
from ..tables.provenance import provenance
from ..verifier.judge import judge_pairs

Row = dict[str, Any]


def judged(
    rows: Iterable[Mapping[str, Any]],
    answers: Mapping[str, str],
    config: VerdictsConfig,
    workers: int = 1,
) -> Iterator[Row]:
    """Completion rows with the verifier's columns added, as they come.

    `answers` maps problem ids to references.
    """
    waiting: deque[Mapping[str, Any]] = deque()

    def pairs() -> Iterator[tuple[str, str]]:
        for row in rows:
            waiting.append(row)
            yield answers[row["problem_id"]], row["text"]

    for verdict in judge_pairs(pairs(), workers=workers, options=config):
        yield {**waiting.popleft(), **verdict._asdict()}


def reference_answers(problems: Path) -> dict[str, str]:
    """The reference answer of each problem id."""
    rows = tables.rows(problems, "problems", ["problem_id", "answer"])
    return {row["problem_id"]: row["answer"] for row in rows}


def judged_table(
    path: Path,
    table: str,
    problems: Path,
    config: VerdictsConfig,
    workers: int = 1,
    columns: list[str] | None = None,
) -> Iterator[Row]:
    """The same for the rows of a table, streamed, with a progress bar.

    Raises `UserError` where a completion's problem is not in `problems`.
    """
    from tqdm import tqdm

    answers = reference_answers(problems)

    def known() -> Iterator[Row]:
        for row in tables.rows(path, table, columns):
            if row["problem_id"] not in answers:
                raise UserError(
                    f"{path}: problem_id: '{row['problem_id']}' is not in {problems}; the two are "
                    f"of different runs; {remedy(path)}"
                )
            yield row

    total = tables.num_rows(path, table)
    rows = judged(known(), answers, config, workers)
    yield from tqdm(rows, total=total, desc="judging", unit="row", file=sys.stderr)


# --- the commands -----------------------------------------------------------------------------


def add_judging_arguments(parser: argparse.ArgumentParser, source: str, table: str) -> None:
    """The flags of a command that judges the table in `--<source>` into a table `table`."""
    parser.add_argument(
        f"--{source}", dest="judged", required=True, type=Path, help="table of completions"
    )
    parser.add_argument("--problems", required=True, type=Path, help="table of problems")
    parser.add_argument("--config", required=True, help="config section `verdicts`, as JSON")
    parser.add_argument("--workers", type=int, default=1, help="processes for slow comparisons")
    parser.add_argument("--out", required=True, type=Path, help=f"table `{table}` to write")


def judge(
    args: argparse.Namespace,
    table: str,
    table_made: str,
    module: str,
    columns: list[str] | None = None,
    into: Callable[[Iterator[Row]], Iterable[Row]] = iter,
) -> None:
    """Judge the completions of `table` and write the stage's own table of them.

    `module` is the one that the provenance names, beside how the completions were sampled, which
    arms are compared by, and how judged; `into` makes its rows out of judged ones.
    """
    config = VerdictsConfig.from_json(args.config)
    sampled = tables.provenance_of(args.judged, table).get("config", {})
    settings = {**sampled, **config.model_dump(mode="json")}
    made_by = provenance(f"{module}", settings, [args.judged, args.problems])
    rows = judged_table(args.judged, table, args.problems, config, args.workers, columns)
    tables.write(args.out, table_made, into(rows), made_by)
