"""Stage `training`: a LoRA adapter from the selected rollouts."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from .. import tables
from ..config import ModelConfig, TrainingConfig
from ..modeling.base_model import check_ids, check_targets, load_base, model_settings
from ..modeling.hidden_states import (
    BaseStates,
    LiveStates,
    StoredStates,
    fits_on_disk,
    store_states,
)
from ..tables.provenance import provenance
from ..tables.scratch import work_folder
from ..training.checkpoints import (
    add_checkpoints_argument,
    add_training_arguments,
    check_number,
    hand_over,
)
from ..training.dataset import read_rollouts, training_steps
from ..training.tracking import NOWHERE, Tracking
from ..training.trainer import Processes, Trainer

HELP = "train a LoRA adapter on the selected rollouts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--selection", required=True, type=Path, help="table of the rollouts to train on"
    )
    add_training_arguments(parser, "training")
    add_checkpoints_argument(parser)
    parser.add_argument(
        "--states",
        nargs="*",
        type=Path,
        default=[],
        help="hidden states that `entropies --states-out` wrote: saves the base's forward passes",
    )


def main(args: argparse.Namespace) -> None:
    # Of the job's cores each process takes its share.
    torch.set_num_threads(max(1, args.threads // int(os.environ.get("WORLD_SIZE", "1"))))
    model, config = ModelConfig.from_json(args.model_config), TrainingConfig.from_json(args.config)
    places = args.out_log, args.checkpoints, args.scratch
    tracking = Tracking.from_args(args)
    run(args.selection, model, config, *places, args.batch_tokens, args.states, tracking)


def run(
    selection: Path,
    model: ModelConfig,
    config: TrainingConfig,
    out_log: Path,
    checkpoints: Sequence[Path],
    scratch: Path,
    batch_tokens: int,
    states: Sequence[Path] = (),
    tracking: Tracking = NOWHERE,
) -> None:
    """Train, writing `checkpoints` and the log. An interrupted run goes on where it was saved."""
    check_number(checkpoints, config.checkpoints, "training")
    rollouts = read_rollouts(selection)
    steps = training_steps(rollouts, config)
    settings = model_settings(model.path, model)
    check_targets(settings, config.target_modules)
    for rollout in rollouts:
        check_ids(rollout.ids, settings.vocab_size, f"{selection}: token ids")

    section = {"model": model.model_dump(mode="json"), **config.model_dump(mode="json")}
    record = provenance("training", section, inputs=[selection, *states], seed=config.seed)
    folder = work_folder(scratch, record, model.path)

    with Processes() as processes:
        trainer = Trainer(load_base(model.path, model), rollouts, config, processes)
        trainer.base_states = base_states(trainer, steps, states, folder, batch_tokens)
        if not processes.rank:
            trainer.tracking = tracking.of(record)
        log = trainer.fit(steps, folder, batch_tokens)
        if processes.rank:
            return
    hand_over(folder, checkpoints)
    tables.write(out_log, "training", log, record)
    shutil.rmtree(folder)


def base_states(
    trainer: Trainer,
    steps: Sequence[Sequence[int]],
    kept: Sequence[Path],
    folder: Path,
    batch_tokens: int,
) -> BaseStates:
    """From the scorer's files where they were kept; else stored here if visited repeatedly.

    In half precision a state depends on its batch by more than the anchor's first steps measure,
    so there the base runs on the very batches that the adapter sees.
    """
    base, rollouts = trainer.base, trainer.rollouts
    if kept:
        return StoredStates(base, rollouts, kept)
    repeats = sum(map(len, steps)) > len(rollouts)
    exact = base.dtype == torch.float32 and trainer.processes.count == 1
    path = folder / "base-states.safetensors"
    # A resumed run goes on with the states that it began with, to the same bits.
    if path.exists() or (repeats and exact and fits_on_disk(base, rollouts, folder)):
        if not path.exists():
            store_states(base, trainer.adapter, rollouts, path, batch_tokens)
        return StoredStates(base, rollouts, [path])
    return LiveStates(base, trainer.adapter)
