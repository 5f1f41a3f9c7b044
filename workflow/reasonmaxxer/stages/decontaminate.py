"""Stage `decontaminate`: pools of problems that share nothing with the benchmarks.

A pool loses its doubles and, with `problems.overlap: drop`, what stands in another split too.
Benchmarks are never changed, and a problem of both pools stays in validation. At the end all
splits are compared with each other once more, before any of them costs anything.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from .. import tables
from ..datasets.overlap import without_doubles, without_overlap
from ..errors import UserError
from ..tables.provenance import provenance

HELP = "take problems out of a pool that are also in another split, or check that none is left"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pool", help="table `problems` of the pool to clean")
    parser.add_argument("--split", help="the pool's split: train or validation")
    parser.add_argument(
        "--against", nargs="*", default=[], help="tables that it may share no problem with"
    )
    parser.add_argument(
        "--overlap", choices=["fail", "drop"], default="fail", help="what to do with an overlap"
    )
    parser.add_argument(
        "--audit",
        nargs="+",
        help="check the tables of train, validation and all benchmarks instead",
    )
    parser.add_argument(
        "--out", required=True, help="table `problems` to write; with --audit, a JSON of counts"
    )


def main(args: argparse.Namespace) -> None:
    if args.audit:
        check_splits({Path(path).stem: path for path in args.audit}, args.out)
    elif args.pool and args.split:
        clean(args.pool, args.split, args.against, args.overlap, args.out)
    else:
        raise UserError("decontaminate: give --pool and --split to clean a pool, or --audit")


def clean(pool: str, split: str, others: list[str], overlap: str, out: str) -> None:
    """Write the pool without doubles and without what stands in one of the tables `others`.

    Raises `UserError` where something does and `overlap` is `fail`.
    """
    known = {Path(path).stem: tables.read(path, "problems").to_pylist() for path in others}
    rows = tables.read(pool, "problems").to_pylist()
    single, doubles = without_doubles(rows)
    kept, dropped = without_overlap(single, split, known, overlap)
    record = provenance("decontaminate", {"overlap": overlap}, [pool, *others])
    bad = tables.provenance_of(pool, "problems").get("bad_references", {})
    counts = {"doubles": doubles, "overlap": dropped, "bad_references": bad}
    tables.write(out, "problems", kept, {**record, **counts})
    print(f"{split}: {len(kept)} of {len(rows)} kept; duplicates {doubles}, overlap {dropped}")


def check_splits(paths: dict[str, str], out: str) -> None:
    """Raise `UserError` where a problem stands in two splits; else write how many each has."""
    splits = {name: tables.read(path, "problems").to_pylist() for name, path in paths.items()}
    benchmarks = {name: splits[name] for name in paths if name not in ("train", "validation")}
    without_overlap(splits["validation"], "validation", benchmarks, "fail")
    others = {**benchmarks, "validation": splits["validation"]}
    without_overlap(splits["train"], "train", others, "fail")
    summary = {
        "provenance": provenance("decontaminate", {}, paths.values()),
        "splits": {name: _counts(path, splits[name]) for name, path in paths.items()},
    }
    tables.write_text(out, json.dumps(summary, indent=1, sort_keys=True) + "\n")
    for name, counts in summary["splits"].items():
        print(f"{name}: {counts['problems']} problems")


def _counts(path: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many problems a split has, and what was left out of it on the way."""
    made = tables.provenance_of(path, "problems")
    left_out: dict[str, Any] = {
        key: made[key] for key in ("doubles", "overlap", "bad_references") if key in made
    }
    return {"problems": len(rows), **left_out}
