"""Norms of a frozen float32 model equal float64 ones, and any other norm is left as it is."""

from __future__ import annotations

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from reasonmaxxer.modeling.norms import FrozenRMSNorm, freeze_norms


class OffsetRMSNorm(LlamaRMSNorm):
    """As Gemma's: the weight is counted from one."""

    def forward(self, hidden_states):
        return super().forward(hidden_states) * (1 + 1 / self.weight)


def norm_of(kind, dtype=torch.float32):
    torch.manual_seed(0)
    norm = kind(64, eps=1e-5)
    norm.weight.data.uniform_(0.5, 2)
    return norm.to(dtype).requires_grad_(False)


@pytest.mark.parametrize("kind", [LlamaRMSNorm, Qwen3RMSNorm])
@pytest.mark.parametrize("shape", [(2, 7, 64), (2, 5, 3, 64)], ids=["hidden", "heads"])
@pytest.mark.parametrize("size", [1e-3, 1.0, 100.0])
def test_a_frozen_norm_and_its_gradient_are_those_of_float64(kind, shape, size):
    norm = norm_of(kind)
    freeze_norms(norm)
    assert isinstance(norm, FrozenRMSNorm)
    x = size * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    probe = torch.randn(shape, generator=torch.Generator().manual_seed(2))

    def exact(x):
        root = (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return x / root * norm.weight.double()

    found = []
    for function, dtype in ((norm, torch.float32), (exact, torch.float64)):
        inputs = x.to(dtype, copy=True).requires_grad_()
        outputs = function(inputs)
        (outputs * probe).sum().backward()
        found.append((outputs.detach().double(), inputs.grad.double()))
    for ours, true in zip(*found, strict=True):
        assert (ours - true).norm() < 1e-6 * true.norm()


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(OffsetRMSNorm, torch.float32), (LlamaRMSNorm, torch.bfloat16)],
    ids=["another-formula", "half-type"],
)
def test_another_norm_stays_what_it_is(kind, dtype):
    norm = norm_of(kind, dtype)
    freeze_norms(norm)
    assert type(norm) is kind
