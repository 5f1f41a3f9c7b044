"""How the judge reads the references of benchmarks in ordinary renderings, and near misses of them.

    python tests/benchmarks/judge_references.py FILE.jsonl ... [--misses N] [--every N]

Each row has a reference in its field `answer`. Printed by file: references that verify against
themselves, renderings that are "correct" (all should be), near misses that are (none should be).
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from renderings import near_misses, renderings

from reasonmaxxer.verifier.judge import check_references, judge_pairs


def main() -> None:
    """Print a line a file, and examples of what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--misses", type=int, default=0, help="examples to print of each fault")
    parser.add_argument("--every", type=int, default=1, help="take every Nth distinct reference")
    args = parser.parse_args()
    for path in args.files:
        rows = map(json.loads, filter(None, path.read_text(encoding="utf-8").split("\n")))
        golds = list(dict.fromkeys(str(row["answer"]) for row in rows))[:: args.every]
        bad = check_references((gold, gold) for gold in golds)
        sound = [gold for gold in golds if gold not in {name for name, _, _ in bad}]
        same = [(gold, text) for gold in sound for text in renderings(gold)]
        near = [(gold, text) for gold in sound for text in near_misses(gold)]
        refused = [
            (*pair, verdict.verdict)
            for pair, verdict in zip(same, judge_pairs(same), strict=True)
            if verdict.verdict != "correct"
        ]
        accepted = [
            pair
            for pair, verdict in zip(near, judge_pairs(near), strict=True)
            if verdict.verdict == "correct"
        ]
        print(
            f"{path.stem:16} {len(golds):5} references, {len(bad)} not read;"
            f" renderings correct {1 - len(refused) / max(1, len(same)):8.3%} of {len(same):6};"
            f" near misses correct {len(accepted) / max(1, len(near)):7.3%} of {len(near):6}",
            flush=True,
        )
        for name, examples in (("not read", bad), ("refused", refused), ("accepted", accepted)):
            for example in examples[: args.misses]:
                print("   ", name, example)


if __name__ == "__main__":
    main()
