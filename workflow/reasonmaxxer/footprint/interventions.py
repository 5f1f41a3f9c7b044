"""Stage `interventions`: what each way of putting tokens in does to the share of right answers.

Decoding is the command `decode`; judging is apart from it, so that an edit of the verifier
decodes nothing again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import tables
from ..config import VerdictsConfig
from ..evaluation import judged, reference_answers
from ..provenance import provenance

HELP = "judge the base's greedy texts under each intervention"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--decoded", required=True, type=Path, help="table `decoded`")
    parser.add_argument("--problems", required=True, type=Path, help="table of problems")
    parser.add_argument("--config", required=True, help="config section `verdicts`, as JSON")
    parser.add_argument("--workers", type=int, default=1, help="processes that compare")
    parser.add_argument("--out", required=True, type=Path, help="table `interventions` to write")


def main(args: argparse.Namespace) -> None:
    config = VerdictsConfig.from_json(args.config)
    inputs = [args.decoded, args.problems]
    made_by = provenance("footprint.interventions", config.model_dump(mode="json"), inputs)
    rows = list(tables.rows(args.decoded, "decoded"))
    answers = reference_answers(args.problems)
    tables.write(
        args.out, "interventions", list(judged(rows, answers, config, args.workers)), made_by
    )
