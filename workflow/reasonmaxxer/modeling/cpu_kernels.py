"""Own kernels for float32 on a CPU, where PyTorch and transformers leave much of the time unused.

    products       by oneDNN instead of MKL
    RMSNorm        forward and backward in a third of the time
    LoRA layers    keep nothing but their input for backward; half types and GPUs use them too
    freed memory   stays with the process instead of going back to the kernel

They are on unless the environment variable REASONMAXXER_CPU_KERNELS is 0. Then PyTorch's and
transformers' own code computes everything; results agree within the rounding of the model's
dtype, so nothing is run again when the switch changes. `load_base` puts the kernels into a model
with `install`.
"""

import ctypes
import functools
import os
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import UserError

NOT_IN_KEY = {"keep_freed_memory": "no result depends on how a process holds its memory"}

SWITCH = "REASONMAXXER_CPU_KERNELS"
# Multiplications from which oneDNN is the faster one.
WORTHWHILE = 4 << 20
# Parameters of glibc's mallopt (malloc.h).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_THRESHOLD = 32 << 20  # bytes: older versions of glibc refuse more


@functools.cache
def enabled() -> bool:
    """Whether the kernels are on: the environment variable is read here alone, once a process.

    Raises `UserError` if the variable is neither 0 nor 1.
    """
    value = os.environ.get(SWITCH, "1")
    if value not in ("0", "1"):
        raise UserError(
            f"environment variable {SWITCH}: '{value}' is neither 0 nor 1; set it to 0 to compute "
            "with PyTorch's own kernels, or unset it"
        )
    return value == "1"


def install(model: torch.nn.Module) -> None:
    """Put this module's linear layers, and RMSNorms that compute the same, into a frozen model."""
    if not enabled():
        return
    keep_freed_memory()
    for module in model.modules():
        if type(module) is torch.nn.Linear:
            module.__class__ = FrozenLinear
        elif type(module).__name__.endswith("RMSNorm") and _computes_the_same(module):
            module.__class__ = FrozenRMSNorm


# --- memory -----------------------------------------------------------------------------------


def keep_freed_memory() -> None:
    """Let this process use again what it has freed, where the C library is glibc.

    By default blocks of many pages go back to the kernel when freed and come again page by page,
    zeroed: a third of the lab's scoring. Larger blocks than the threshold, the weights of a model,
    still go back.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if enabled() and mallopt is not None and mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD):
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


# --- products ---------------------------------------------------------------------------------

# torch hands float32 products to MKL, which leaves half of each vector unit of an AMD processor
# idle; oneDNN, which torch brings along for other types, does not. Products of the lab model's
# shapes ran at 105 thousand million operations a second by the one and at 220 by the other on one
# core of an EPYC, equally exact. Other devices and types are left to torch.
#
# oneDNN writes a program for every shape it meets (half a millisecond) and keeps the last
# thousand, so that batches should come in few shapes.


def product(x: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """x M^T + bias [..., O] without a gradient, for x [..., I], M [O, I], bias [O] of one dtype."""
    ours = x.device.type == "cpu" and x.dtype == torch.float32 and enabled() and _has_onednn()
    if ours and x.numel() * len(matrix) >= WORTHWHILE:
        return torch.ops.mkldnn._linear_pointwise(x, matrix, bias, "none", [], "")
    return F.linear(x, matrix, bias)


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
    """x W^T + bias [..., O]; x [..., I] alone has a gradient, not W [O, I], bias [O]; one dtype."""
    return _Frozen.apply(x, weight, bias) if enabled() else F.linear(x, weight, bias)


class FrozenLinear(torch.nn.Linear):
    """Takes the class's place in a linear layer, whose weights stay."""

    def forward(self, input: Tensor) -> Tensor:
        """`frozen_linear` of [..., I]: [..., O]."""
        return frozen_linear(input, self.weight, self.bias)


# --- RMSNorm ----------------------------------------------------------------------------------

# y = x r w, r = 1 / sqrt(mean x^2 + eps). transformers' norms are six operations, whose backward
# passes over the activations some ten times. This one passes over them three times forward and
# four times backward, a third of the time in all. Half types are left to transformers, which takes
# care of what is rounded when.


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

    weight: Tensor  # [H] float32
    variance_epsilon: float

    def forward(self, hidden_states: Tensor) -> Tensor:
        """The norm of float32 [..., H] over its last dimension: [..., H]."""
        return _Normalised.apply(hidden_states, self.weight, self.variance_epsilon)


@torch.no_grad()
def _computes_the_same(norm: Any) -> bool:
    weight = norm.weight
    if weight.dtype != torch.float32 or not hasattr(norm, "variance_epsilon"):
        return False
    x = torch.linspace(-2, 3, 4 * len(weight), device=weight.device).view(4, -1)
    ours = _Normalised.apply(x, weight, norm.variance_epsilon)
    return torch.allclose(norm(x), ours, atol=1e-5)


# --- LoRA -------------------------------------------------------------------------------------

# PEFT's layers keep two more activations for backward and pass over them for the scale and the
# sum, which is a seventh of a small model's step. These take the cheaper of two ways,
#
#     wide    y = x W^T + s (x A^T) B^T, where x A^T is computed again in backward
#     narrow  y = x W'^T with W' = W + s B A, where backward takes the gradient G of W' in one
#             product and from it dA = s B^T G and dB = s G A^T
#
# and in both nothing but x is kept.


def lora_linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
) -> Tensor:
    """x (W + s B A)^T + bias with W and bias constant: `x`, A and B have gradients.

    Args:
        x: [..., I], any device and floating-point dtype.
        weight: W [O, I], dtype of `x`.
        bias: [O], dtype of `x`.
        a: A [r, I] float32.
        b: B [O, r] float32.
        scale: s, alpha over rank.

    Returns:
        [..., O], dtype of `x`.
    """
    rows = x.flatten(0, -2)
    apply = _Narrow.apply if _is_narrow(len(rows), weight, len(a)) else _Wide.apply
    return apply(rows, weight, bias, a, b, scale).unflatten(0, x.shape[:-1])


def _is_narrow(rows: int, weight: Tensor, rank: int) -> bool:
    """Whether one product for the gradient of W' beats six with r columns, by multiplications.

    In half precision W' would be rounded, and small changes of the adapter lost in it.
    """
    outputs, inputs = weight.shape
    merged = inputs * outputs * (rows + 3 * rank)
    return weight.dtype == torch.float32 and merged < 3 * rank * (inputs + outputs) * rows


class _Wide(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, a, b)
        ctx.scale = scale
        y = product(x, weight, bias)
        return y.addmm_(product(x, a.to(x.dtype)), b.to(x.dtype).t(), alpha=scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, a, b = ctx.saved_tensors
        dy, down, up = gradients[0], a.to(x.dtype), b.to(x.dtype)
        inner = product(dy, up.t()).mul_(ctx.scale)
        d_a = product(inner.t(), x.t()).to(a.dtype)
        d_b = product(dy.t(), product(x, down).t()).to(b.dtype).mul_(ctx.scale)
        d_x = product(dy, weight.t()).addmm_(inner, down) if ctx.needs_input_grad[0] else None
        return d_x, None, None, d_a, d_b, None


class _Narrow(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
    ) -> Tensor:
        whole = torch.addmm(weight, b, a, alpha=scale)
        ctx.save_for_backward(x, whole, a, b)
        ctx.scale = scale
        return product(x, whole, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, whole, a, b = ctx.saved_tensors
        dy = gradients[0]
        d_whole = product(dy.t(), x.t()).mul_(ctx.scale)
        d_x = product(dy, whole.t()) if ctx.needs_input_grad[0] else None
        return d_x, None, None, b.t() @ d_whole, d_whole @ a.t(), None
