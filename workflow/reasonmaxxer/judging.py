"""Judging a table of completions: one way for every stage that does it."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import tables
from .config import VerdictsConfig
from .errors import UserError
from .provenance import provenance
from .readers import remedy
from .verifier.judge import judge_pairs
from .verifier.transcript import opens_thinking

Row = dict[str, Any]
SETTLED = ("same text", "compared", "no answer found")  # reasons of the quick comparison


def judged(
    rows: Iterable[Row],
    answers: Mapping[str, str],
    config: VerdictsConfig,
    workers: int = 1,
    thinking: bool = False,
) -> Iterator[Row]:
    """Completion rows with the verifier's columns added, as they come.

    `answers` maps problem ids to references. `thinking` says that the prompts end inside thinking.
    """
    waiting: deque[Row] = deque()

    def pairs() -> Iterator[tuple[str, str]]:
        for row in rows:
            waiting.append(row)
            yield answers[row["problem_id"]], row["text"]

    for verdict in judge_pairs(pairs(), workers=workers, options=config, thinking=thinking):
        yield waiting.popleft() | verdict._asdict()


def with_second_opinions(
    rows: Iterable[Row],
    answers: Mapping[str, str],
    config: VerdictsConfig,
    which: str,
    workers: int = 1,
    thinking: bool = False,
) -> Iterator[Row]:
    """Judged rows with the column `second`: plain math-verify's verdict, null where not asked."""
    waiting: deque[Row] = deque()

    def asked(row: Row) -> bool:
        if config.verifier != "math" or which == "none":
            return False
        return which == "all" or row["reason"] not in SETTLED

    def pairs() -> Iterator[tuple[str, str]]:
        for row in rows:
            waiting.append(row)
            yield answers[row["problem_id"]], row["text"] if asked(row) else ""

    options = config.model_copy(update={"verifier": "math-verify"})
    for verdict in judge_pairs(pairs(), workers=workers, options=options, thinking=thinking):
        row = waiting.popleft()
        yield row | {"second": verdict.verdict if asked(row) else None}


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
    second: str | None = None,
) -> Iterator[Row]:
    """The same for the rows of a table, streamed, with a progress bar.

    With `second` (none, slow, all) they have the column `second`; see `with_second_opinions`.

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
    thinking = opens_thinking(tables.provenance_of(path, table).get("prompt_end", ""))
    rows = judged(known(), answers, config, workers, thinking)
    if second is not None:
        rows = with_second_opinions(rows, answers, config, second, workers, thinking)
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
    stage: str,
    columns: list[str] | None = None,
    into: Callable[[Iterator[Row]], Iterable[Row]] = iter,
) -> None:
    """Judge the completions of `table` and write the stage's own table of them.

    `stage` is the module that the provenance names, beside how the completions were sampled, which
    arms are compared by, and how judged; `into` makes its rows out of judged ones.
    """
    config = VerdictsConfig.from_json(args.config)
    sampled = tables.provenance_of(args.judged, table).get("config", {})
    settings = {**sampled, **config.model_dump(mode="json")}
    made_by = provenance(stage, settings, [args.judged, args.problems])
    second = getattr(args, "second_opinion", None)
    rows = judged_table(args.judged, table, args.problems, config, args.workers, columns, second)
    tables.write(args.out, stage.rpartition(".")[2], into(rows), made_by)
