"""Float32 matrix products on a CPU by oneDNN.

torch hands float32 products to MKL, which leaves half of each vector unit of an AMD processor
idle; oneDNN, which torch brings along for other types, does not. Products of the lab model's
shapes ran at 105 thousand million operations a second by the one and at 220 by the other on one
core of an EPYC, equally exact. Other devices and types are left to torch.

oneDNN writes a program for every shape it meets (half a millisecond) and keeps the last thousand,
so that batches should come in few shapes.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Multiplications from which oneDNN is the faster one.
WORTHWHILE = 4 << 20


def product(x: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """x M^T + bias [..., O] of x [..., I], M [O, I] and bias [O]; it has no gradient."""
    if x.numel() * len(matrix) >= WORTHWHILE and _is_ours(x):
        return torch.ops.mkldnn._linear_pointwise(x, matrix, bias, "none", [], "")
    return F.linear(x, matrix, bias)


def _is_ours(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and _has_onednn()


@functools.cache
def _has_onednn() -> bool:
    """Whether this torch has it, and under the name that torch's own compiler calls it by."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class _Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return product(gradients[0], weight.t()), None, None


def frozen_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer whose weights are constant: only `x` has a gradient."""
    return _Frozen.apply(x, weight, bias)


class FrozenLinear(torch.nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return frozen_linear(input, self.weight, self.bias)


def freeze(model: torch.nn.Module) -> None:
    """Make all weights of a model constant, and its linear layers compute as such."""
    model.requires_grad_(False)
    for module in model.modules():
        if type(module) is torch.nn.Linear:
            module.__class__ = FrozenLinear
