"""Score the judge on a file of labelled cases: figures by tier and category, and the misses.

    python tests/benchmarks/judge_cases.py cases.jsonl [--misses] [--workers N]

Each row has gold, pred, expected (bool), tier, category; rows with scored = false are left out.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from reasonmaxxer.verifier.judge import judge_pairs


def main() -> None:
    """Print accuracy and wrong "correct" by tier and by category."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--misses", action="store_true", help="print each miss")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    lines = args.cases.read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, filter(None, lines)) if row.get("scored", True)]
    pairs = [(row["gold"], row["pred"]) for row in rows]
    total: Counter[tuple[str, str]] = Counter()
    right: Counter[tuple[str, str]] = Counter()
    false_correct: Counter[str] = Counter()
    for row, verdict in zip(rows, judge_pairs(pairs, workers=args.workers), strict=True):
        tier, category = row["tier"], row["category"]
        hit = (verdict.verdict == "correct") == row["expected"]
        for key in ((tier, ""), (tier, category)):
            total[key] += 1
            right[key] += hit
        false_correct[tier] += verdict.verdict == "correct" and not row["expected"]
        if args.misses and not hit:
            print(row.get("id"), tier, category, "expected", row["expected"], verdict)
            print("    gold", repr(row["gold"])[-200:], "pred", repr(row["pred"])[-300:])
    for tier, category in sorted(total):
        key = (tier, category)
        name = f"  {category}" if category else tier
        print(f"{name:32} {right[key]:4}/{total[key]:<4} {right[key] / total[key]:7.2%}")
    for tier in sorted(false_correct):
        print(f'{tier}: wrong "correct" {false_correct[tier]}')


if __name__ == "__main__":
    main()
