"""The pools of training and validation without doubles and without what stands in a benchmark.

Benchmarks are never changed. A problem of both pools stays in validation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import tables
from .overlap import without_doubles, without_overlap
from .provenance import provenance

HELP = "take problems that stand in a benchmark out of the pools of training and validation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", required=True, help="table `problems` of the training pool")
    parser.add_argument("--validation", required=True, help="the same of the validation problems")
    parser.add_argument("--benchmarks", nargs="*", default=[], help="the benchmarks' tables")
    parser.add_argument(
        "--overlap", choices=["fail", "drop"], default="fail", help="what to do with an overlap"
    )
    parser.add_argument("--out-train", required=True, help="table `problems` to write")
    parser.add_argument("--out-validation", required=True, help="table `problems` to write")


def main(args: argparse.Namespace) -> None:
    others = {Path(p).stem: tables.read(p, "problems").to_pylist() for p in args.benchmarks}
    pools = {
        "validation": (args.validation, args.out_validation),
        "train": (args.train, args.out_train),
    }
    for split, (path, out) in pools.items():
        pool = tables.read(path, "problems").to_pylist()
        single, doubles = without_doubles(pool)
        kept, overlap = without_overlap(single, split, others, args.overlap)
        others[split] = kept
        record = provenance("problems", {"overlap": args.overlap}, [path, *args.benchmarks])
        bad = tables.provenance_of(path, "problems").get("bad_references", {})
        counts = {"doubles": doubles, "overlap": overlap, "bad_references": bad}
        tables.write(out, "problems", kept, {**record, **counts})
        print(f"{split}: {len(kept)} of {len(pool)} kept; doubles {doubles}, overlap {overlap}")
