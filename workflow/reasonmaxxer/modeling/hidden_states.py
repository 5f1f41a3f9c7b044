"""Hidden states of the frozen base for the anchor: one model serves as base and as student.

They come from the trained model with its adapter off, computed when needed; or, where rollouts
are visited more than once, from a file in which the trainer put them before; or from the files
that the scorer kept, which saves every arm its passes through the base.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..errors import UserError
from ..tables import replacing
from ..tables.artefacts import CHECKSUM, NO_CHECKSUM, add_checksum, header_bytes, open_tensors
from .base_model import Base
from .lora import Adapter
from .packing import Packed

MAX_DISK_SHARE = 0.5
COPIED_ROWS = 4096
_SAFETENSORS = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}

Key = tuple[str, int, int]  # problem, sample, tokens


class Keyed(Protocol):
    """A rollout, as far as its states go."""

    @property
    def ids(self) -> np.ndarray:
        """[T] int64, the prompt's first."""

    @property
    def key(self) -> Key:
        """What tells it apart: problem, sample, and its number of tokens T."""


class LiveStates:
    """Computed when they are needed."""

    def __init__(self, base: Base, adapter: Adapter) -> None:
        self._base, self._adapter = base, adapter

    def hidden(self, indices: Sequence[int], batch: Packed) -> Tensor:
        """Last states [N, H] of these rollouts, the batch, computed with the adapter off."""
        with self._adapter.off():
            return self._base.hidden(batch)


class StoredStates:
    """Read from files, of which each holds the states of some rollouts one behind the other.

    Args:
        base: the model whose states they are.
        rollouts: the training set, all of which the files must hold.
        files: as `writing_states` makes them.

    Raises:
        UserError: if a rollout is in no file, or a file's states have another width or dtype.
    """

    def __init__(self, base: Base, rollouts: Sequence[Keyed], files: Sequence[Path]) -> None:
        self._base = base
        places = {key: place for path in files for key, place in _places(path, base).items()}
        missing = [rollout.key for rollout in rollouts if rollout.key not in places]
        if missing:
            problem, sample, tokens = missing[0]
            raise UserError(
                f"{', '.join(map(str, files))}: no states of problem '{problem}', sample {sample} "
                f"({tokens} tokens); were they kept for other rollouts? Score these again"
            )
        self._places = [places[rollout.key] for rollout in rollouts]

    def hidden(self, indices: Sequence[int], batch: Packed) -> Tensor:
        """Last states [N, H] in the base's dtype of these rollouts; zero where there is filler."""
        hidden = torch.zeros(sum(batch.lengths), self._base.width, dtype=self._base.dtype)
        for rows, index in zip(batch.split(hidden), indices, strict=True):
            states, start, end = self._places[index]
            rows.copy_(states[start:end])
        return hidden.to(batch.input_ids.device)


BaseStates = LiveStates | StoredStates  # where the base's states of a batch come from


def store_states(
    base: Base, adapter: Adapter, rollouts: Sequence[Keyed], path: Path, batch_tokens: int
) -> None:
    """Compute the states of these rollouts into the file `path`, as `writing_states` makes it."""
    live = LiveStates(base, adapter)
    keys = [rollout.key for rollout in rollouts]
    with writing_states(path, base.dtype, base.width, keys) as states:
        ends = np.cumsum([len(rollout.ids) for rollout in rollouts]).tolist()
        batches = base.batches([len(rollout.ids) for rollout in rollouts], batch_tokens)
        for batch in tqdm(batches, desc="base states", unit="batch"):
            packed = base.pack([rollouts[i].ids for i in batch])
            for rows, i in zip(packed.split(live.hidden(batch, packed)), batch, strict=True):
                states[ends[i] - len(rows) : ends[i]] = rows.cpu()


def fits_on_disk(base: Base, rollouts: Sequence[Keyed], folder: Path) -> bool:
    """Whether the rollouts' states take at most half of the free space at `folder`."""
    size = sum(len(r.ids) for r in rollouts) * base.width * base.dtype.itemsize
    return size <= MAX_DISK_SHARE * shutil.disk_usage(folder).free


# --- files ------------------------------------------------------------------------------------


@contextlib.contextmanager
def writing_states(
    path: Path, dtype: torch.dtype, width: int, keys: Sequence[Key]
) -> Iterator[Tensor]:
    """A tensor on disk to fill; the file appears when the block ends well.

    It is a safetensors file with the one tensor `states` in the model's type, and with the keys
    of the rollouts and a checksum in its metadata.

    Args:
        path: the file to write.
        dtype: float32, bfloat16 or float16.
        width: H, the size of a hidden state.
        keys: problem, sample and tokens of each rollout, in the order of their states.

    Returns:
        A context whose value is [tokens, H] of that dtype, tokens being the sum over `keys`.
    """
    shape = (sum(tokens for _, _, tokens in keys), width)
    size = shape[0] * shape[1] * dtype.itemsize
    tensor = {"dtype": _SAFETENSORS[dtype], "shape": shape, "data_offsets": [0, size]}
    metadata = {"rollouts": json.dumps(list(keys)), CHECKSUM: NO_CHECKSUM}
    header = header_bytes({"__metadata__": metadata, "states": tensor})
    with replacing(path) as partial:
        with partial.open("wb") as file:
            file.write(header)
            file.flush()
            if size:  # reserved here: a full disk is an error, in mapped memory it is a SIGBUS
                os.posix_fallocate(file.fileno(), len(header), size)
        if size:
            bits = np.memmap(partial, np.uint8, "r+", offset=len(header))
            yield torch.from_numpy(bits).view(dtype).view(shape)
            bits.flush()
        else:
            yield torch.empty(shape, dtype=dtype)
        add_checksum(partial)


def join_states(parts: Sequence[Path], path: Path) -> None:
    """One file of the states in one or several, in their order."""
    files = [open_tensors(part, "states") for part in parts]
    keys = [key for file in files for key in json.loads(file.metadata()["rollouts"])]
    first = files[0].get_slice("states")[:0]
    with writing_states(path, first.dtype, first.shape[1], keys) as states:
        end = 0
        for file in files:
            part = file.get_slice("states")
            for start in range(0, part.get_shape()[0], COPIED_ROWS):
                rows = part[start : start + COPIED_ROWS]
                states[end : end + len(rows)] = rows
                end += len(rows)


def _places(path: Path, base: Base) -> dict[Key, tuple[Any, int, int]]:
    """Where the states of each rollout of the file stand."""
    # Kept open for as long as its slices are used, through their reference to it.
    file = open_tensors(path, "states")
    states = file.get_slice("states")
    if states.get_dtype() != _SAFETENSORS[base.dtype] or states.get_shape()[1] != base.width:
        raise UserError(
            f"{path}: states of {states.get_shape()[1]} x {states.get_dtype()}, but the model has "
            f"{base.width} x {_SAFETENSORS[base.dtype]}: they belong to another model"
        )
    places, start = {}, 0
    for problem, sample, tokens in json.loads(file.metadata()["rollouts"]):
        places[problem, sample, tokens] = (states, start, start + tokens)
        start += tokens
    return places
