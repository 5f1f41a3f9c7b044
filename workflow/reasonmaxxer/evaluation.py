"""Stage `evaluation`: an arm's completions on a benchmark, judged.

Sampling is the command `rollouts`; judging is apart from it, so that an edit of the verifier
judges again what was sampled and samples nothing.
"""

from __future__ import annotations

import argparse

from .judging import add_judging_arguments, judge

HELP = "judge an arm's completions on a benchmark"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_judging_arguments(parser, "completions", "evaluation")
    parser.add_argument(
        "--second-opinion",
        choices=("none", "slow", "all"),
        default="slow",
        help="samples that plain math-verify judges as well (default: those that took longer)",
    )


def main(args: argparse.Namespace) -> None:
    judge(args, "rollouts", "evaluation")
