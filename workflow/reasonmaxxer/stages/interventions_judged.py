"""Stage `interventions`: what each way of putting tokens in does to the share of right answers.

Decoding is the command `decode`; judging is apart from it, so that an edit of the verifier
decodes nothing again.
"""

from __future__ import annotations

import argparse

from .judging import add_judging_arguments, judge

HELP = "judge the base's greedy texts under each intervention"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_judging_arguments(parser, "decoded", "interventions")


def main(args: argparse.Namespace) -> None:
    judge(args, "decoded", "interventions", "interventions_judged")
