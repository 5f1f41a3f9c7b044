"""A pool of problems without doubles and without what stands in a benchmark.

Benchmarks are never changed. A problem of both pools stays in validation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import tables
from ..datasets.overlap import without_doubles, without_overlap
from ..tables.provenance import provenance

HELP = "take problems that stand in another split out of the pool of training or validation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pool", required=True, help="table `problems` of the pool")
    parser.add_argument("--split", required=True, help="train or validation")
    parser.add_argument("--others", nargs="*", default=[], help="tables it may share nothing with")
    parser.add_argument(
        "--overlap", choices=["fail", "drop"], default="fail", help="what to do with an overlap"
    )
    parser.add_argument("--out", required=True, help="table `problems` to write")


def main(args: argparse.Namespace) -> None:
    others = {Path(p).stem: tables.read(p, "problems").to_pylist() for p in args.others}
    pool = tables.read(args.pool, "problems").to_pylist()
    single, doubles = without_doubles(pool)
    kept, overlap = without_overlap(single, args.split, others, args.overlap)
    record = provenance("problems", {"overlap": args.overlap}, [args.pool, *args.others])
    bad = tables.provenance_of(args.pool, "problems").get("bad_references", {})
    counts = {"doubles": doubles, "overlap": overlap, "bad_references": bad}
    tables.write(args.out, "problems", kept, {**record, **counts})
    print(f"{args.split}: {len(kept)} of {len(pool)} kept; doubles {doubles}, overlap {overlap}")
