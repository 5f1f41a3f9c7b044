"""What the stages that train have in common on the command line: arguments and checkpoints."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from .. import tables
from ..errors import UserError
from .tracking import add_tracking_arguments


def add_training_arguments(
    parser: argparse.ArgumentParser, section: str, table: str = "training"
) -> None:
    """The flags of every command that trains; `section` is the config's, `table` the log's."""
    parser.add_argument("--model-config", required=True, help="config section `model` as JSON")
    parser.add_argument("--config", required=True, help=f"config section `{section}` as JSON")
    parser.add_argument("--out-log", required=True, type=Path, help=f"table `{table}` to write")
    parser.add_argument("--scratch", required=True, type=Path, help="folder for unfinished work")
    parser.add_argument(
        "--batch-tokens", type=int, default=16384, help="maximum number of tokens in a batch"
    )
    parser.add_argument("--threads", type=int, default=1, help="number of CPU cores")
    add_tracking_arguments(parser)


def add_checkpoints_argument(parser: argparse.ArgumentParser) -> None:
    """The flag `--checkpoints` of commands that write several."""
    parser.add_argument(
        "--checkpoints",
        required=True,
        nargs="+",
        type=Path,
        help="safetensors files to write, evenly spaced over the run, the last at its end",
    )


def check_number(checkpoints: Sequence[Path], wanted: int, section: str) -> None:
    """Raise `UserError` where a command names another number of checkpoints than the config."""
    if len(checkpoints) != wanted:
        raise UserError(
            f"{section}.checkpoints: {wanted}, but --checkpoints names {len(checkpoints)} files"
        )


def saved_checkpoint(folder: Path, index: int) -> Path:
    """Where the 1-based checkpoint `index` waits among the unfinished work."""
    return folder / f"checkpoint-{index}.safetensors"


def hand_over(folder: Path, checkpoints: Sequence[Path]) -> None:
    """Copy the checkpoints out of the folder of unfinished work."""
    for index, path in enumerate(checkpoints, start=1):
        with tables.replacing(path) as partial:
            shutil.copyfile(saved_checkpoint(folder, index), partial)
