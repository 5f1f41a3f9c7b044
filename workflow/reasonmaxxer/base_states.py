"""Hidden states of the frozen base for the anchor: one model serves as base and as student.

The base is the trained model with its adapter off. Where rollouts are visited more than once,
their states are computed once, in batches of like length, and read back from disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .batching import plan_batches
from .model import Base, adapter_off
from .objective import Rollout
from .tables import replacing

MAX_DISK_SHARE = 0.5


class BaseStates(Protocol):
    """Where the base's hidden states of a batch come from."""

    def hidden(self, indices: Sequence[int], input_ids: Tensor) -> Tensor:
        """States [B, T, H] of the rollouts `indices`, whose padded ids are [B, T]."""


class LiveStates:
    """Computed when they are needed."""

    def __init__(self, base: Base, adapted: object) -> None:
        self._base, self._adapted = base, adapted

    def hidden(self, indices: Sequence[int], input_ids: Tensor) -> Tensor:
        with adapter_off(self._adapted):
            return self._base.hidden(input_ids)


class StoredStates:
    """Computed once for all rollouts, kept in a file."""

    def __init__(
        self,
        base: Base,
        adapted: object,
        rollouts: Sequence[Rollout],
        path: Path,
        batch_tokens: int,
    ) -> None:
        self._base = base
        lengths = [len(rollout.ids) for rollout in rollouts]
        self._ends = np.cumsum(lengths)
        if not path.exists():
            live = LiveStates(base, adapted)
            with replacing(path) as partial:
                self._compute(live, rollouts, lengths, partial, batch_tokens)
        self._states = np.load(path, mmap_mode="r")

    def _compute(
        self,
        live: LiveStates,
        rollouts: Sequence[Rollout],
        lengths: Sequence[int],
        path: Path,
        batch_tokens: int,
    ) -> None:
        shape = (int(self._ends[-1]), self._base.width)
        states = np.lib.format.open_memmap(path, "w+", _stored_type(self._base.dtype), shape)
        for batch in tqdm(plan_batches(lengths, batch_tokens), desc="base states", unit="batch"):
            input_ids = self._base.pad([rollouts[i].ids for i in batch])
            hidden = live.hidden(batch, input_ids).cpu()
            for row, i in zip(hidden, batch, strict=True):
                states[self._ends[i] - lengths[i] : self._ends[i]] = _to_stored(row[: lengths[i]])
        states.flush()

    def hidden(self, indices: Sequence[int], input_ids: Tensor) -> Tensor:
        hidden = torch.zeros(*input_ids.shape, self._base.width, dtype=self._base.dtype)
        for row, i in zip(hidden, indices, strict=True):
            start = self._ends[i - 1] if i else 0
            stored = torch.from_numpy(self._states[start : self._ends[i]].copy())
            row[: len(stored)] = stored.view(self._base.dtype)
        return hidden.to(input_ids.device)


def _stored_type(dtype: torch.dtype) -> type:
    """numpy has no bfloat16: half types are stored as their bits."""
    return np.float32 if dtype == torch.float32 else np.uint16


def _to_stored(rows: Tensor) -> np.ndarray:
    return rows.numpy() if rows.dtype == torch.float32 else rows.view(torch.uint16).numpy()


def fits_on_disk(base: Base, rollouts: Sequence[Rollout], folder: Path) -> bool:
    """Whether the rollouts' states take at most half of the free space."""
    size = sum(len(r.ids) for r in rollouts) * base.width * base.dtype.itemsize
    return size <= MAX_DISK_SHARE * shutil.disk_usage(folder).free
