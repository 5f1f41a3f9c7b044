"""What training holds on a GPU, counted on the meta device: the real trainer, model and loss.

No number is computed and no weight exists, but every tensor has its size. In the place of what only
a GPU has stand its attention, whose shapes the meta device knows, and its larger tiles.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_estimate import SHAPES
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForCausalLM, Qwen2Config

from reasonmaxxer import config
from reasonmaxxer.config import TrainingConfig
from reasonmaxxer.graph.estimate import training_gb
from reasonmaxxer.modeling import lm_head
from reasonmaxxer.modeling.base_model import Base
from reasonmaxxer.modeling.lm_head import Head
from reasonmaxxer.training.loss import Rollout
from reasonmaxxer.training.trainer import Trainer, keeps_activations

ROOT = Path(__file__).parents[2]
PROMPT = 150


class Memory(TorchDispatchMode):
    """Bytes of the tensors that live, now and at most."""

    def __init__(self, *there: torch.Tensor) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: set[int] = set()
        for tensor in there:
            self._take(tensor)

    def _take(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._seen:
            self._seen.add(storage._cdata)
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())

    def _free(self, which: int, size: int) -> None:
        self._seen.discard(which)
        self.now -= size

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        if function is torch.ops.aten._local_scalar_dense.default:
            return True  # whether positions are those of one text: they are
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                self._take(tensor)
        return made


def flash_attention(query, key, value, attn_mask=None, is_causal=False, enable_gqa=False, **_):
    assert attn_mask is None and is_causal
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    return torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, 0.0, True)[0]


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    attention = "torch.nn.functional.scaled_dot_product_attention"
    monkeypatch.setattr(attention, flash_attention)
    monkeypatch.setattr(lm_head, "CPU_TILE_ELEMENTS", lm_head.GPU_TILE_ELEMENTS)


def trainer_of(preset: str, count: int, tokens: int) -> Trainer:
    """The trainer of a preset's base in bfloat16, with rollouts of so many tokens."""
    shape = SHAPES[preset][0]
    settings = Qwen2Config(
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.intermediate,
        vocab_size=shape.vocabulary,
        tie_word_embeddings=shape.tied,
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(settings, dtype=torch.bfloat16)
    model.eval().requires_grad_(False)
    head = Head(model.lm_head.weight)
    head._wide, head._matrix = False, head.weight  # a GPU widens no weights
    decisions = np.arange(0, tokens - PROMPT, 40)
    advantages = np.ones(len(decisions), np.float32)
    rollout = Rollout(np.ones(tokens, np.int64), PROMPT, advantages, decisions)
    base = Base(model, head, torch.device("meta"))
    return Trainer(base, [rollout] * count, TrainingConfig())


@contextmanager
def counted(trainer: Trainer) -> Iterator[Memory]:
    with Memory(*trainer.base.model.parameters()) as memory:
        for parameter in trainer.parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        yield memory


@pytest.mark.parametrize(
    ("preset", "count", "gb"),
    [
        ("qwen2.5-1.5b", 2, 6.9),
        ("qwen2.5-7b", 2, 23.8),
        ("qwen2.5-7b", 1, 19.7),
        ("qwen2.5-32b", 1, 75.5),
    ],
)
def test_the_estimate_of_training_is_what_loss_and_backward_hold(preset, count, gb):
    """With rollouts of 8,192 tokens; to what they hold comes CUDA itself and its libraries."""
    trainer = trainer_of(preset, count, 8192)
    with counted(trainer) as memory:
        losses, _ = trainer.loss(list(range(count)))
        losses.total.backward()
    adapter = sum(parameter.numel() for parameter in trainer.parameters.values())
    held = (memory.most + 8 * adapter) / 1e9  # and the optimiser's two
    assert held == pytest.approx(gb, abs=0.1)
    run = config.load([ROOT / "config" / f"{preset}.yaml"])
    estimated = training_gb(run, SHAPES[preset][0], 8192 * count)
    assert held < estimated < held + 6


@pytest.mark.parametrize("preset", ["qwen2.5-1.5b", "qwen2.5-7b"])
def test_what_a_forward_pass_keeps_for_backward_is_what_the_trainer_reckons_with(preset):
    trainer = trainer_of(preset, 1, 2048)
    trainer.base.model.gradient_checkpointing_disable()
    with counted(trainer) as memory:
        before = memory.now
        losses, _ = trainer.loss([0])
        kept = memory.now - before
    assert losses.total.requires_grad
    # The rest are the hidden states behind the last layer, of which there is one in 28.
    assert 2 * SHAPES[preset][0].activations(2048) == pytest.approx(kept, rel=0.05)


def test_activations_are_kept_where_half_of_the_free_memory_takes_them():
    small, large = (SHAPES[name][0] for name in ("qwen2.5-1.5b", "qwen2.5-7b"))
    assert keeps_activations(small, 8192, 2, free=int(75e9))  # 19 GB
    assert not keeps_activations(small, 8192, 2, free=int(20e9))
    assert not keeps_activations(large, 8192, 2, free=int(60e9))  # 41 GB
    assert not keeps_activations(None, 8, 2, free=int(75e9))
