"""Stage `verdicts`: each completion against its reference, one bit and the reason for it."""

from __future__ import annotations

import argparse

from .judging import add_judging_arguments, judge

HELP = "judge the completions of a rollouts table against the problems' answers"

JUDGED_COLUMNS = ["problem_id", "sample", "text"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_judging_arguments(parser, "rollouts", "verdicts")


def main(args: argparse.Namespace) -> None:
    judge(args, "rollouts", "verdicts", "verdicts", JUDGED_COLUMNS)
