"""Score the judge on files of labelled cases: figures by tier and category, and the misses.

    python tests/benchmarks/judge_cases.py cases.jsonl [more.jsonl] [--misses] [--workers N]

A row has gold, pred (or completion), expected (true or "correct"), tier, category (or kind). Rows
with scored = false or strict = false are left out.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from reasonmaxxer.verifier.judge import judge_pairs


class Case(NamedTuple):
    gold: str
    completion: str
    expected: bool
    tier: str
    category: str


def read(row: dict[str, Any], file: str) -> Case:
    """A row of either layout."""
    completion = row["pred"] if "pred" in row else row["completion"]
    category = row["category"] if "category" in row else row["kind"]
    expected = row["expected"] in (True, "correct")
    return Case(row["gold"], completion, expected, row.get("tier", file), category)


def load(path: Path) -> list[Case]:
    """The scored rows of a file."""
    lines = filter(None, path.read_text(encoding="utf-8").split("\n"))
    rows = map(json.loads, filter(None, lines))
    return [read(r, path.stem) for r in rows if r.get("scored", True) and r.get("strict", True)]


def main() -> None:
    """Print accuracy and wrong "correct" by tier and by category."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path, nargs="+")
    parser.add_argument("--misses", action="store_true", help="print each miss")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    cases = [case for path in args.cases for case in load(path)]
    total: Counter[tuple[str, str]] = Counter()
    right: Counter[tuple[str, str]] = Counter()
    false_correct: Counter[tuple[str, str]] = Counter()
    pairs = [(case.gold, case.completion) for case in cases]
    for case, verdict in zip(cases, judge_pairs(pairs, workers=args.workers), strict=True):
        said = verdict.verdict == "correct"
        for key in ((case.tier, ""), (case.tier, case.category)):
            total[key] += 1
            right[key] += said == case.expected
            false_correct[key] += said and not case.expected
        if args.misses and said != case.expected:
            print(case.tier, case.category, "expected", case.expected, verdict)
            print("    gold", repr(case.gold)[-200:], "completion", repr(case.completion)[-300:])
    for key in sorted(total):
        name = f"  {key[1]}" if key[1] else key[0]
        print(
            f"{name:36} {right[key]:4}/{total[key]:<4} {right[key] / total[key]:7.2%}"
            f'   wrong "correct" {false_correct[key]}'
        )


if __name__ == "__main__":
    main()
