"""Sequences one behind the other in one row: no padding in any product.

Every linear layer, norm and output head runs over the tokens of all sequences at once; attention
alone goes sequence by sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

ATTENTION = "packed"
PADDING_ID = 0
# Numbers of tokens are rounded up to this, so that they come in few shapes (`cpu_kernels`).
TOKENS_STEP = 32


@dataclass(frozen=True)
class Packed:
    """A batch of sequences as a model reads it."""

    input_ids: Tensor  # [1, N] int64
    positions: Tensor  # [1, N] int64, each token's place in its sequence
    lengths: tuple[int, ...]  # of the sequences, and of the filler behind them if there is one
    count: int  # of sequences

    def split(self, states: Tensor) -> list[Tensor]:
        """What `states` [N, H] have of each sequence, [T, H]."""
        return list(states.split(self.lengths))[: self.count]


def pack(sequences: Sequence[Sequence[int] | np.ndarray], device: torch.device) -> Packed:
    """The sequences [T] of ids as one batch on this device."""
    lengths = [len(sequence) for sequence in sequences]
    filler = -sum(lengths) % TOKENS_STEP
    ids = np.concatenate([*sequences, np.full(filler, PADDING_ID)]).astype(np.int64)
    parts = (*lengths, filler) if filler else tuple(lengths)
    positions = np.concatenate([np.arange(length) for length in parts])
    input_ids, places = (torch.from_numpy(x)[None].to(device) for x in (ids, positions))
    return Packed(input_ids, places, parts, len(sequences))


def starts(lengths: Sequence[int]) -> list[int]:
    """Where each sequence of a batch begins in its row."""
    return [0, *np.cumsum(lengths).tolist()][: len(lengths)]


def fill_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Batches of at most so many tokens, of sequences of these lengths; one that is longer alone.

    Gives their indices, the longest first.
    """
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batches or lengths[index] > room:
            batches.append([])
            room = batch_tokens
        batches[-1].append(index)
        room -= lengths[index]
    return batches


def install(model: Any) -> None:
    """Let a transformers model's attention go sequence by sequence."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attend)
    model.set_attn_implementation(ATTENTION)


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    sequences: tuple[int, ...] | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """transformers' own attention within each sequence of [1, heads, N, D]: [1, N, heads, D].

    Without `sequences` the rows are one sequence each, without padding.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    lengths = sequences or (query.shape[2],)
    found = []
    for q, k, v in zip(*(x.split(lengths, 2) for x in (query, key, value)), strict=True):
        mask = _window(q, sliding_window)
        found.append(sdpa_attention_forward(module, q, k, v, mask, **options)[0])
    return torch.cat(found, 1), None


def _window(query: Tensor, width: int | None) -> Tensor | None:
    """What each token of [1, heads, T, D] sees, [1, 1, T, T], where it is not all before it."""
    length = query.shape[2]
    if width is None or length <= width:
        return None
    place = torch.arange(length, device=query.device)
    back = place[:, None] - place
    return ((back >= 0) & (back < width))[None, None]
