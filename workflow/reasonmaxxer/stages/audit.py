"""The last look at the problems before they cost anything: no problem stands in two splits."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .. import tables
from ..datasets.overlap import without_overlap
from ..tables.provenance import provenance

HELP = "check that training, validation and benchmarks share no problem, and count what is there"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", required=True, help="table `problems` of training")
    parser.add_argument("--validation", required=True, help="the same of the validation problems")
    parser.add_argument("--benchmarks", nargs="+", required=True, help="the benchmarks' tables")
    parser.add_argument("--out", required=True, help="JSON of counts to write")


def main(args: argparse.Namespace) -> None:
    paths = {"train": args.train, "validation": args.validation}
    paths |= {Path(path).stem: path for path in args.benchmarks}
    splits = {name: tables.read(path, "problems").to_pylist() for name, path in paths.items()}
    benchmarks = {name: splits[name] for name in paths if name not in ("train", "validation")}
    without_overlap(splits["validation"], "validation", benchmarks, "fail")
    others = {**benchmarks, "validation": splits["validation"]}
    without_overlap(splits["train"], "train", others, "fail")
    summary = {
        "provenance": provenance("problems", {}, paths.values()),
        "splits": {name: _counts(path, splits[name]) for name, path in paths.items()},
    }
    tables.write_text(args.out, json.dumps(summary, indent=1, sort_keys=True) + "\n")
    for name, counts in summary["splits"].items():
        print(f"{name}: {counts['problems']} problems")


def _counts(path: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many problems a split has, and what was left out of it on the way."""
    made = tables.provenance_of(path, "problems")
    left_out: dict[str, Any] = {
        key: made[key] for key in ("doubles", "overlap", "bad_references") if key in made
    }
    return {"problems": len(rows), **left_out}
