"""Stage `verdicts`: each completion against its reference, one bit and the reason for it.

Judging is apart from sampling, so that an edit of the verifier judges again what was sampled and
samples nothing. The evaluation, the interventions and the continuations are judged by the same
command as the rollouts.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any

from .. import tables
from ..analysis.effects import counted
from ..analysis.spent import Laps
from ..config import JudgingConfig, VerdictsConfig
from ..errors import UserError
from ..tables import reuse
from ..tables.artefacts import remedy
from ..tables.provenance import provenance
from ..verifier.extraction.transcript import opens_thinking
from ..verifier.judge import judge_pairs

HELP = "judge completions against the problems' reference answers"

Row = dict[str, Any]
SETTLED = ("same text", "compared", "no answer found")  # reasons of the quick comparison


def judged(
    rows: Iterable[Mapping[str, Any]],
    answers: Mapping[str, str],
    config: VerdictsConfig,
    workers: int = 1,
    thinking: bool = False,
) -> Iterator[Row]:
    """Completion rows with verdicts, as they come; `thinking`: their prompts end inside of it."""
    rows, read = tee(rows)
    pairs = ((answers[row["problem_id"]], row["text"]) for row in read)
    verdicts = judge_pairs(pairs, workers=workers, options=config, thinking=thinking)
    for row, verdict in zip(rows, verdicts, strict=True):
        yield {**row, **verdict._asdict()}


def with_second_opinions(
    rows: Iterable[Row],
    answers: Mapping[str, str],
    config: JudgingConfig,
    workers: int = 1,
    thinking: bool = False,
) -> Iterator[Row]:
    """Judged rows with the column `second`: plain math-verify's verdict, null where not asked."""

    def asked(row: Row) -> bool:
        if config.verifier != "math" or config.second_opinion == "none":
            return False
        return config.second_opinion == "all" or row["reason"] not in SETTLED

    rows, read = tee(rows)
    pairs = ((answers[row["problem_id"]], row["text"] if asked(row) else "") for row in read)
    options = config.model_copy(update={"verifier": "math-verify"})
    verdicts = judge_pairs(pairs, workers=workers, options=options, thinking=thinking)
    for row, verdict in zip(rows, verdicts, strict=True):
        yield row | {"second": verdict.verdict if asked(row) else None}


def reference_answers(problems: Path) -> dict[str, str]:
    rows = tables.rows(problems, "problems", ["problem_id", "answer"])
    return {row["problem_id"]: row["answer"] for row in rows}


def judged_table(
    path: Path,
    table: str,
    problems: Path,
    config: JudgingConfig,
    workers: int = 1,
    columns: list[str] | None = None,
    second: bool = False,
) -> Iterator[Row]:
    """The same for the rows of a table, streamed, with a progress bar.

    With `second`, what the quick comparison did not settle has a second opinion. Raises `UserError`
    where a completion's problem is not in `problems`.
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
    if second:
        rows = with_second_opinions(rows, answers, config, workers, thinking)
    yield from tqdm(rows, total=total, desc="judging", unit="row", file=sys.stderr)


# --- the command ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """What a table of verdicts is made of, and how its rows are made of judged completions."""

    of: str
    columns: list[str] | None = None  # None: all
    rows: Callable[[Iterator[Row]], Iterable[Row]] = iter
    second: bool = False  # whether there is a second opinion


TABLES = {
    "verdicts": Judged("rollouts", ["problem_id", "sample", "text"]),
    "evaluation": Judged("rollouts", second=True),
    "interventions": Judged("decoded"),
    "pivotality": Judged("continuations", rows=counted),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    several: dict[str, Any] = {"required": True, "nargs": "+"}
    parser.add_argument("--table", choices=TABLES, default="verdicts", help="which table to write")
    parser.add_argument("--completions", type=Path, help="tables of completions", **several)
    parser.add_argument("--problems", type=Path, help="table of the problems of each", **several)
    parser.add_argument("--config", help="config section `verdicts` for each, as JSON", **several)
    parser.add_argument("--workers", type=int, default=1, help="processes for slow comparisons")
    parser.add_argument("--code", help=reuse.CODE)
    parser.add_argument("--out", type=Path, help="table to write of each", **several)


def main(args: argparse.Namespace) -> None:
    parts = list(zip(args.completions, args.problems, args.config, args.out, strict=True))
    missing = reuse.missing(
        "verdicts",
        {
            out: [args.table, config, _sampled(files[0]), *map(str, files)]
            for *files, config, out in parts
        },
        args.code,
    )
    laps = Laps()
    for completions, problems, config, out in parts:
        if out not in missing:
            continue
        judge(args.table, completions, problems, JudgingConfig.from_json(config), args.workers, out)
        if (kept := missing[out]) is not None:
            kept.keep(laps.line())


def _sampled(completions: Path) -> list[Any]:
    """How they were sampled: it is recorded with the verdicts, and a prompt may open thinking."""
    record = tables.recorded(completions)
    return [record.get("config"), record.get("prompt_end")]


def judge(
    table: str, completions: Path, problems: Path, config: JudgingConfig, workers: int, out: Path
) -> None:
    """Judge a table of completions and write a table of `TABLES`."""
    made = TABLES[table]
    # Arms are compared by how their completions were sampled: that is recorded with the verdicts.
    sampled = tables.provenance_of(completions, made.of).get("config", {})
    settings = {**sampled, **config.model_dump(mode="json")}
    record = provenance("verdicts", settings, [completions, problems])
    rows = judged_table(completions, made.of, problems, config, workers, made.columns, made.second)
    tables.write(out, table, made.rows(rows), record)
