"""RMSNorm of float32 models in as few passes as it takes: y = x r w, r = 1 / sqrt(mean x^2 + eps).

transformers' norms are six operations, whose backward passes over the activations some ten times.
This one passes over them three times forward and four times backward, a third of the time in all.
Half types are left to transformers, which takes care of what is rounded when.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        rate = square.div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, rate)
        return (x * rate).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        # d x = r (g - x r^2 mean(g x)) with g = d y w
        x, weight, rate = ctx.saved_tensors
        gradient = gradients[0] * weight
        share = (gradient * x).sum(-1, keepdim=True).mul_(rate.square()).div_(-x.shape[-1])
        return gradient.addcmul_(x, share).mul_(rate), None, None


class FrozenRMSNorm(torch.nn.Module):
    """Takes the class's place in a norm of transformers, whose attributes stay."""

    weight: Tensor
    variance_epsilon: float

    def forward(self, hidden_states: Tensor) -> Tensor:
        return _Normalised.apply(hidden_states, self.weight, self.variance_epsilon)


@torch.no_grad()
def freeze_norms(model: torch.nn.Module) -> None:
    """Make a float32 model's RMSNorms these: those that compute the same on a few rows."""
    for module in model.modules():
        named = type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon")
        if named and _computes_the_same(module):
            module.__class__ = FrozenRMSNorm


def _computes_the_same(norm: Any) -> bool:
    weight = norm.weight
    if weight.dtype != torch.float32:
        return False
    x = torch.linspace(-2, 3, 4 * len(weight), device=weight.device).view(4, -1)
    ours = _Normalised.apply(x, weight, norm.variance_epsilon)
    return torch.allclose(norm(x), ours, atol=1e-5)
