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


def main(args: argparse.Namespace) -> None:
    judge(args, "rollouts", "evaluation", "evaluation")
