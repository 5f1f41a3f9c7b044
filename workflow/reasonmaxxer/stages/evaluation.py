"""Stage `evaluation`: an arm's completions on a benchmark; `verdicts` judges them."""

import argparse

from . import rollouts

HELP = "sample an arm's completions on a benchmark"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    rollouts.add_arguments(parser)


def main(args: argparse.Namespace) -> None:
    rollouts.sample(args, "evaluation")
