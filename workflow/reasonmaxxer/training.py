"""Stage `training`: a LoRA adapter by the contrastive objective, from the selected rollouts.

A plain loop instead of transformers' Trainer. What that would bring here (schedule, logging,
resuming) is a few lines each, while its checkpoints are pickles, its resuming is not exact to the
bit, and its batches know nothing of a token budget with means per rollout.

Under `torchrun` or `accelerate launch` the rollouts of each step are shared out among the
processes and their gradients summed: the same optimisation on several GPUs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import resource
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from . import tables
from .base_states import BaseStates, LiveStates, StoredStates, fits_on_disk, store_states
from .batching import plan_batches
from .config import ModelConfig, TrainingConfig
from .curriculum import learning_rate, read_rollouts, training_steps
from .errors import UserError
from .lora import Adapter
from .model import (
    Base,
    check_ids,
    check_targets,
    load_base,
    model_fingerprint,
    model_settings,
)
from .objective import Losses, Rollout, Rows, contrastive_loss, prediction_rows
from .provenance import provenance

HELP = "train a LoRA adapter on the selected rollouts by the contrastive objective"

# A batch may grow past 5% of padding up to this size: smaller ones leave the processor idle.
MIN_BATCH_TOKENS = 512
SAVE_SECONDS = 30.0
# From this size on, a GPU recomputes activations in backward instead of keeping them.
CHECKPOINTING_PARAMETERS = 1_000_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--selection", required=True, type=Path, help="the rollouts to train on")
    parser.add_argument("--model-config", required=True, help="config section `model` as JSON")
    parser.add_argument("--config", required=True, help="config section `training` as JSON")
    parser.add_argument("--out-log", required=True, type=Path, help="table `training` to write")
    parser.add_argument(
        "--checkpoints",
        required=True,
        nargs="+",
        type=Path,
        help="safetensors files to write, evenly spaced over the run, the last at its end",
    )
    parser.add_argument(
        "--states",
        nargs="*",
        type=Path,
        default=[],
        help="files that the scorer wrote by --states-out, to be spared the base's passes",
    )
    parser.add_argument("--scratch", required=True, type=Path, help="folder for unfinished work")
    parser.add_argument("--batch-tokens", type=int, default=16384, help="most tokens of a batch")
    parser.add_argument("--threads", type=int, default=1, help="CPU cores")


def main(args: argparse.Namespace) -> None:
    # Of the job's cores each process takes its share.
    torch.set_num_threads(max(1, args.threads // int(os.environ.get("WORLD_SIZE", "1"))))
    model = ModelConfig.from_json(args.model_config)
    run(
        selection=args.selection,
        model=model.path,
        model_config=model,
        config=TrainingConfig.from_json(args.config),
        out_log=args.out_log,
        checkpoints=args.checkpoints,
        scratch=args.scratch,
        batch_tokens=args.batch_tokens,
        states=args.states,
    )


def run(
    selection: Path,
    model: str,
    model_config: ModelConfig,
    config: TrainingConfig,
    out_log: Path,
    checkpoints: Sequence[Path],
    scratch: Path,
    batch_tokens: int,
    states: Sequence[Path] = (),
) -> None:
    """Train, writing `checkpoints` and the log. An interrupted run goes on where it was saved."""
    rollouts = read_rollouts(selection)
    steps = training_steps(rollouts, config)
    if len(checkpoints) != config.checkpoints:
        raise UserError(
            f"training.checkpoints: {config.checkpoints}, but --checkpoints names "
            f"{len(checkpoints)} files"
        )
    if config.decay_steps is not None and config.decay_steps <= config.warmup_steps:
        raise UserError(
            f"training.decay_steps: {config.decay_steps} is not beyond training.warmup_steps "
            f"({config.warmup_steps})"
        )
    settings = model_settings(model, model_config)
    check_targets(settings, config.targets)
    for rollout in rollouts:
        check_ids(rollout.ids, settings.vocab_size, f"{selection}: token ids")

    section = {"model": model_config.model_dump(mode="json"), **config.model_dump(mode="json")}
    record = provenance("training", section, inputs=[selection, *states], seed=config.seed)
    folder = scratch / _digest({**record, "weights": model_fingerprint(model)})
    folder.mkdir(parents=True, exist_ok=True)

    with _Processes() as processes:
        trainer = Trainer(load_base(model, model_config), rollouts, config, processes)
        trainer.base_states = base_states(trainer, steps, states, folder, batch_tokens)
        log = trainer.fit(steps, folder, batch_tokens)
        if processes.rank:
            return
    for index, path in enumerate(checkpoints, start=1):
        with tables.replacing(path) as partial:
            shutil.copyfile(_checkpoint(folder, index), partial)
    tables.write(out_log, "training", log, record)
    shutil.rmtree(folder)


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def _checkpoint(folder: Path, index: int) -> Path:
    return folder / f"checkpoint-{index}.safetensors"


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
    if repeats and exact and fits_on_disk(base, rollouts, folder):
        path = folder / "base-states.safetensors"
        if not path.exists():
            store_states(base, trainer.adapter, rollouts, path, batch_tokens)
        return StoredStates(base, rollouts, [path])
    return LiveStates(base, trainer.adapter)


# --- the loop ---------------------------------------------------------------------------------


class Trainer:
    """The model with its adapter, the optimiser, and the loop over steps."""

    base_states: BaseStates

    def __init__(
        self,
        base: Base,
        rollouts: Sequence[Rollout],
        config: TrainingConfig,
        processes: _Processes | None = None,
    ) -> None:
        self.base, self.rollouts, self.config = base, rollouts, config
        self.processes = processes or _Processes()
        self.adapter = Adapter(base.model, config)
        self.parameters = self.adapter.parameters()
        self.optimiser = torch.optim.AdamW(
            self.parameters.values(),
            lr=config.learning_rate,
            betas=(0.9, 0.999),
            eps=1e-8,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.base_states = LiveStates(base, self.adapter)
        base.model.train()
        if base.device.type == "cuda" and base.model.num_parameters() > CHECKPOINTING_PARAMETERS:
            base.model.gradient_checkpointing_enable({"use_reentrant": False})

    def fit(
        self, steps: Sequence[Sequence[int]], folder: Path, batch_tokens: int
    ) -> list[dict[str, Any]]:
        """All steps, from the last saved one on; returns the log's rows."""
        at = {step: i for i, step in enumerate(self.config.checkpoint_steps, start=1)}
        done, log = self._load(folder)
        saved = time.monotonic()
        seen = sum(map(len, steps[:done]))
        silent = self.processes.rank > 0
        bar = tqdm(total=len(steps), initial=done, desc="training", unit="step", disable=silent)
        with bar:
            for number in range(done + 1, len(steps) + 1):
                row = self.step(steps[number - 1], number, len(steps), batch_tokens)
                seen += row["sequences"]
                row["epoch"] = seen / len(self.rollouts)
                log.append(row)
                if not all(map(math.isfinite, (row["loss"], row["gradient_norm"]))):
                    raise UserError(_diverged(row, folder, at))
                if number in at and not self.processes.rank:
                    self._save_adapter(_checkpoint(folder, at[number]))
                if number in at or time.monotonic() - saved > SAVE_SECONDS:
                    self._save(folder, number, log)
                    saved = time.monotonic()
                bar.set_postfix(loss=f"{row['loss']:.4f}", anchor=f"{row['anchor_loss']:.2e}")
                bar.update()
        return log

    def step(
        self, indices: Sequence[int], number: int, steps: int, batch_tokens: int
    ) -> dict[str, Any]:
        """One optimiser step over these rollouts; returns its row of the log."""
        started = time.monotonic()
        rate = learning_rate(number, steps, self.config)
        totals = self.accumulate(indices, batch_tokens)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.gradient_clip)
        if torch.isfinite(norm):
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            self.optimiser.step()
        tokens = sum(len(self.rollouts[i].ids) for i in indices)
        return {
            "step": number,
            "sequences": len(indices),
            "tokens": tokens,
            **totals.means(len(indices)),
            "gradient_norm": norm.item(),
            "learning_rate": rate,
            "tokens_per_second": tokens / (time.monotonic() - started),
            "peak_memory_mb": _peak_memory_mb(self.base.device),
        }

    def accumulate(self, indices: Sequence[int], batch_tokens: int) -> _Totals:
        """Gradients of the loss, averaged over the rollouts `indices`, into `parameters`."""
        for parameter in self.parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        totals = _Totals(torch.zeros(7, dtype=torch.float64, device=self.base.device))
        lengths = [len(self.rollouts[i].ids) for i in indices]
        batches = plan_batches(lengths, batch_tokens, MIN_BATCH_TOKENS)
        for batch in batches[self.processes.rank :: self.processes.count]:
            losses, rows = self.loss([indices[i] for i in batch])
            (losses.total / len(indices)).backward()
            totals.add(losses, rows)
        self.processes.sum([totals.values, *(p.grad for p in self.parameters.values())])
        return totals

    def loss(self, indices: Sequence[int]) -> tuple[Losses, Rows]:
        """The objective summed over these rollouts, run as one batch."""
        rollouts = [self.rollouts[i] for i in indices]
        input_ids = self.base.pad([rollout.ids for rollout in rollouts])
        rows = prediction_rows(rollouts, input_ids.shape[1], self.base.device)
        base_hidden = self.base_states.hidden(indices, input_ids)
        hidden = self.base.hidden(input_ids)
        return contrastive_loss(self.base.head, hidden, base_hidden, rows, self.config), rows

    # -- saving and resuming

    def _save_adapter(self, path: Path) -> None:
        from safetensors.torch import save_file

        with tables.replacing(path) as partial:
            save_file(self.adapter.tensors(), partial, metadata={"format": "pt"})

    def _save(self, folder: Path, step: int, log: Sequence[dict[str, Any]]) -> None:
        """Everything the rest of the run depends on, in one file that appears at once."""
        from safetensors.torch import save_file

        if self.processes.rank:
            return
        tensors = {"random": torch.get_rng_state()}
        if self.base.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        for name, parameter in self.parameters.items():
            tensors[f"parameter.{name}"] = parameter.detach()
            for key, value in self.optimiser.state[parameter].items():
                tensors[f"{key}.{name}"] = value
        metadata = {"step": str(step), "log": json.dumps(list(log))}
        with tables.replacing(folder / "state.safetensors") as partial:
            save_file({k: t.contiguous() for k, t in tensors.items()}, partial, metadata=metadata)

    def _load(self, folder: Path) -> tuple[int, list[dict[str, Any]]]:
        """Steps done and their log, from the last saved state if there is one."""
        from safetensors import safe_open

        path = folder / "state.safetensors"
        if not path.exists():
            return 0, []
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            torch.set_rng_state(file.get_tensor("random"))
            if self.base.device.type == "cuda":
                torch.cuda.set_rng_state(file.get_tensor("random.cuda"))
            for name, parameter in self.parameters.items():
                parameter.data.copy_(file.get_tensor(f"parameter.{name}"))
                self.optimiser.state[parameter] = {
                    key: file.get_tensor(f"{key}.{name}").to(self.base.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
        return int(metadata["step"]), json.loads(metadata["log"])


def _diverged(row: dict[str, Any], folder: Path, at: dict[int, int]) -> str:
    good = [_checkpoint(folder, index) for step, index in at.items() if step < row["step"]]
    last = f"the last good checkpoint is {good[-1]}" if good else "no checkpoint was reached"
    return (
        f"training: step {row['step']}: loss {row['loss']}, gradient norm {row['gradient_norm']}: "
        f"the run has diverged; {last}. Lower training.learning_rate, set "
        "training.probability_floor (1e-4), or leave truncated rollouts out "
        "(selection.truncated: drop)"
    )


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@dataclass
class _Totals:
    """Sums over the rollouts of a step: losses, and log-prob changes of decisions by sign of A."""

    values: Tensor  # [7] total, decision, anchor, then (change, count) for A > 0 and for A < 0

    def add(self, losses: Losses, rows: Rows) -> None:
        change = losses.logprobs - losses.base_logprobs
        values = [losses.total.detach(), losses.decision, losses.anchor]
        for chosen in (rows.advantages > 0, rows.advantages < 0):
            values += [change[chosen].sum(), chosen.sum()]
        self.values += torch.stack([value.double() for value in values])

    def means(self, rollouts: int) -> dict[str, float | None]:
        total, decision, anchor, up, ups, down, downs = self.values.tolist()
        return {
            "loss": total / rollouts,
            "decision_loss": decision / rollouts,
            "anchor_loss": anchor / rollouts,
            "positive_change": up / ups if ups else None,
            "negative_change": down / downs if downs else None,
        }


class _Processes:
    """The processes that share a run: one, unless torchrun or accelerate started more."""

    def __init__(self) -> None:
        self.rank, self.count = 0, 1

    def __enter__(self) -> _Processes:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
            self.rank = torch.distributed.get_rank()
            self.count = torch.distributed.get_world_size()
        return self

    def __exit__(self, *_: object) -> None:
        if self.count > 1:
            torch.distributed.destroy_process_group()

    def sum(self, tensors: Sequence[Tensor | None]) -> None:
        """Replace each tensor by its sum over the processes."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)
