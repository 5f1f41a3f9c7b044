"""The loop of training: optimiser steps over rollouts, logged, saved and resumed to the bit.

A plain loop instead of transformers' Trainer. What that would bring here (schedule, logging,
resuming) is a few lines each, while its checkpoints are pickles, its resuming is not exact to the
bit, and its batches know nothing of a token budget with means per rollout.

Under `torchrun` or `accelerate launch` the rollouts of each step are shared out among the
processes and their gradients summed: the same optimisation on several GPUs.
"""

from __future__ import annotations

import json
import math
import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import torch
from torch import Tensor
from tqdm import tqdm

from ..config import TrainingConfig
from ..errors import UserError
from ..modeling.base_model import Base
from ..modeling.device import on_gpu
from ..modeling.dimensions import Dimensions
from ..modeling.hidden_states import BaseStates, LiveStates
from ..modeling.lora import Adapter
from ..tables.artefacts import open_tensors, save_tensors
from .checkpoints import saved_checkpoint
from .loss import Losses, Rollout, Rows, contrastive_loss, prediction_rows
from .lr_schedule import checkpoint_steps, learning_rate
from .tracking import NOWHERE

# On a CPU, parameters of a model from which its activations would take more memory than they are
# worth: a quarter of the time of SmolLM2 (135 million), which keeps a megabyte a token otherwise.
RECOMPUTE_FROM = 50_000_000
# On a GPU, of the memory that is free: what a batch's activations may take, to be kept.
KEPT_SHARE = 0.5
SAVE_SECONDS = 30.0


class StepMeans(TypedDict):
    """Means over the rollouts of a step, in nats; a change is None where no decision has its sign.

    A change is the mean of log p_theta - log p_base over the decisions of one sign of A.
    """

    loss: float
    decision_loss: float
    anchor_loss: float
    positive_change: float | None
    negative_change: float | None


class StepLog(StepMeans):
    """A row of the table `training`."""

    step: int  # from 1
    epoch: NotRequired[float]  # visits of rollouts so far, by the number of rollouts
    sequences: int
    tokens: int  # prompts included
    gradient_norm: float  # before clipping
    learning_rate: float
    tokens_per_second: float
    peak_memory_mb: float


class Trainer:
    """The model with its adapter, the optimiser, and the loop over steps.

    Args:
        base: gets a fresh adapter, in place.
        rollouts: the training set; steps name its rollouts by their index.
        config: the section `training`.
        processes: those that share the run; by default this one alone.
    """

    base_states: BaseStates
    tracking = NOWHERE  # the first process may have another one

    def __init__(
        self,
        base: Base,
        rollouts: Sequence[Rollout],
        config: TrainingConfig,
        processes: Processes | None = None,
    ) -> None:
        self.base, self.rollouts, self.config = base, rollouts, config
        self.processes = processes or Processes()
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
        if base.model.num_parameters() > RECOMPUTE_FROM:
            self.recompute_activations()

    def recompute_activations(self) -> None:
        """Compute activations again in backward instead of keeping them."""
        self.base.model.gradient_checkpointing_enable({"use_reentrant": False})

    def _choose_activations(self, tokens: int) -> None:
        """On a GPU, keep the activations of a batch of so many tokens if there is room."""
        if self.base.device.type != "cuda":
            return
        free, _ = torch.cuda.mem_get_info(self.base.device)
        # What PyTorch holds without using it is free as well.
        free += torch.cuda.memory_reserved(self.base.device)
        free -= torch.cuda.memory_allocated(self.base.device)
        shape = Dimensions.of(self.base.model.config)
        if keeps_activations(shape, tokens, self.base.dtype.itemsize, free):
            self.base.model.gradient_checkpointing_disable()
        else:
            self.recompute_activations()

    def fit(self, steps: Sequence[Sequence[int]], folder: Path, batch_tokens: int) -> list[StepLog]:
        """All steps from the last saved one on, as the log; `UserError` if the run has diverged."""
        at = {step: i for i, step in enumerate(checkpoint_steps(self.config), start=1)}
        done, log = self._load(folder)
        saved = time.monotonic()
        seen = sum(map(len, steps[:done]))
        silent = self.processes.rank > 0
        bar = tqdm(total=len(steps), initial=done, desc="training", unit="step", disable=silent)
        with bar, self.tracking.open("train") as report:
            for row in log:
                report(row, row["step"])
            for number in range(done + 1, len(steps) + 1):
                row = self.step(steps[number - 1], number, len(steps), batch_tokens)
                seen += row["sequences"]
                row["epoch"] = seen / len(self.rollouts)
                log.append(row)
                report(row, number)
                if not all(map(math.isfinite, (row["loss"], row["gradient_norm"]))):
                    raise UserError(_diverged(row, folder, at))
                if number in at and not self.processes.rank:
                    path = saved_checkpoint(folder, at[number])
                    save_tensors(path, self.adapter.tensors(), {"format": "pt"})
                if number in at or time.monotonic() - saved > SAVE_SECONDS:
                    self._save(folder, number, log)
                    saved = time.monotonic()
                bar.set_postfix(loss=f"{row['loss']:.4f}", anchor=f"{row['anchor_loss']:.2e}")
                bar.update()
        return log

    def step(self, indices: Sequence[int], number: int, steps: int, batch_tokens: int) -> StepLog:
        """One optimiser step, the `number`th of `steps`, as its row of the log.

        A step whose gradient is not finite changes no weight.
        """
        started = time.monotonic()
        rate = learning_rate(number, steps, self.config)
        totals = self.accumulate(indices, batch_tokens)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.max_grad_norm)
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
        """Gradients of the loss, averaged over these rollouts, into `parameters`.

        Gives the sums of losses and log-prob changes over the rollouts of all processes.
        """
        for parameter in self.parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        totals = _Totals(torch.zeros(7, dtype=torch.float64, device=self.base.device))
        lengths = [len(self.rollouts[i].ids) for i in indices]
        if self.processes.count > 1:  # or one would take all and the others idle
            batch_tokens = min(batch_tokens, -(-sum(lengths) // self.processes.count))
        batches = self.base.batches(lengths, batch_tokens)
        for batch in batches[self.processes.rank :: self.processes.count]:
            self._choose_activations(sum(lengths[i] for i in batch))
            losses, rows = self.loss([indices[i] for i in batch])
            (losses.total / len(indices)).backward()
            totals.add(losses, rows)
        self.processes.sum([totals.values, *(p.grad for p in self.parameters.values())])
        return totals

    def loss(self, indices: Sequence[int]) -> tuple[Losses, Rows]:
        """The objective in nats (Eq. 6 and 7), summed over these rollouts, which are one batch."""
        rollouts = [self.rollouts[i] for i in indices]
        batch = self.base.pack([rollout.ids for rollout in rollouts])
        rows = prediction_rows(rollouts, self.base.device)
        base_hidden = self.base_states.hidden(indices, batch)
        hidden = self.base.hidden(batch)
        return contrastive_loss(self.base.head, hidden, base_hidden, rows, self.config), rows

    # -- saving and resuming

    def _save(self, folder: Path, step: int, log: Sequence[StepLog]) -> None:
        """Everything the rest of the run depends on, in one file that appears at once."""
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
        save_tensors(folder / "state.safetensors", tensors, metadata)

    def _load(self, folder: Path) -> tuple[int, list[StepLog]]:
        """Steps done and their log, from the last saved state if there is one."""
        path = folder / "state.safetensors"
        if not path.exists():
            return 0, []
        with open_tensors(path, "random") as file:
            metadata = file.metadata()
            torch.set_rng_state(file.get_tensor("random"))
            # A run that began on a CPU has none.
            if self.base.device.type == "cuda" and "random.cuda" in file.keys():  # noqa: SIM118
                torch.cuda.set_rng_state(file.get_tensor("random.cuda"))
            for name, parameter in self.parameters.items():
                parameter.data.copy_(file.get_tensor(f"parameter.{name}"))
                self.optimiser.state[parameter] = {
                    key: file.get_tensor(f"{key}.{name}").to(parameter.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
        return int(metadata["step"]), json.loads(metadata["log"])


def keeps_activations(shape: Dimensions | None, tokens: int, width: int, free: int) -> bool:
    """Whether a batch's activations are kept for backward, instead of computed again.

    Args:
        shape: the model's; None for a family whose activations are not known.
        tokens: of the batch.
        width: bytes of a number.
        free: bytes of the GPU's memory that nothing uses.

    Returns:
        True if they take at most half of it.
    """
    return shape is not None and shape.activations(tokens) * width <= KEPT_SHARE * free


def _diverged(row: StepLog, folder: Path, at: dict[int, int]) -> str:
    good = [saved_checkpoint(folder, index) for step, index in at.items() if step < row["step"]]
    last = f"the last good checkpoint is {good[-1]}" if good else "no checkpoint was reached"
    return (
        f"training: step {row['step']}: loss {row['loss']}, gradient norm {row['gradient_norm']}: "
        f"the run has diverged; {last}. Lower training.learning_rate, set training.objective: "
        "ratio, which is bounded, or leave truncated rollouts out (selection.truncated: drop)"
    )


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # given in kibibytes


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

    def means(self, rollouts: int) -> StepMeans:
        total, decision, anchor, up, ups, down, downs = self.values.tolist()
        return {
            "loss": total / rollouts,
            "decision_loss": decision / rollouts,
            "anchor_loss": anchor / rollouts,
            "positive_change": up / ups if ups else None,
            "negative_change": down / downs if downs else None,
        }


class Processes:
    """The processes that share a run: one, unless torchrun or accelerate started more."""

    def __init__(self) -> None:
        self.rank, self.count = 0, 1

    def __enter__(self) -> Processes:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            if on_gpu():
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            torch.distributed.init_process_group("nccl" if on_gpu() else "gloo")
            self.rank = torch.distributed.get_rank()
            self.count = torch.distributed.get_world_size()
        return self

    def __exit__(self, *_: object) -> None:
        if self.count > 1:
            torch.distributed.destroy_process_group()

    def sum(self, tensors: Sequence[Tensor | None]) -> None:
        """Replace each tensor, of any shape [...], by its sum over the processes, in place."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)
