"""LoRA in as few passes as it takes: y = x W' with W' = W + s B A, base weight W frozen.

PEFT owns the format (`adapter_config.json`, the names of the tensors), and what is trained here
loads there. Its layers keep two more activations for backward and pass over them for the scale
and the sum, which is a seventh of a small model's step. These take the cheaper of two ways,

    wide    y = x W^T + s (x A^T) B^T, where x A^T is computed again in backward
    narrow  y = x W'^T, where backward takes the gradient G of W' in one product and from it
            dA = s B^T G and dB = s G A^T

and in both nothing but x is kept.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import TrainingConfig
from .products import frozen_linear, product

PEFT_PREFIX = "base_model.model."


class LoraLinear(torch.nn.Module):
    """A frozen linear layer with an adapter, whose weights are float32 whatever the layer's type.

    Initialised as PEFT does it: A uniform (Kaiming, a = sqrt 5), B zero.
    """

    def __init__(self, linear: torch.nn.Linear, config: TrainingConfig) -> None:
        super().__init__()
        outputs, inputs = linear.weight.shape
        options: dict[str, Any] = {"device": linear.weight.device, "dtype": torch.float32}
        self.weight, self.bias = linear.weight, linear.bias
        self.lora_A = torch.nn.Parameter(torch.empty(config.rank, inputs, **options))
        self.lora_B = torch.nn.Parameter(torch.zeros(outputs, config.rank, **options))
        torch.nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.scale, self.dropout, self.enabled = config.alpha / config.rank, config.dropout, True

    def forward(self, x: Tensor) -> Tensor:
        if not self.enabled:
            return frozen_linear(x, self.weight, self.bias)
        if self.training and self.dropout:
            down, up = (m.to(x.dtype) for m in (self.lora_A, self.lora_B))
            change = F.linear(F.linear(F.dropout(x, self.dropout), down), up)
            return frozen_linear(x, self.weight, self.bias) + self.scale * change
        rows = x.flatten(0, -2)
        apply = _narrow if self._is_narrow(len(rows)) else _wide
        y = apply(rows, self.weight, self.bias, self.lora_A, self.lora_B, self.scale)
        return y.unflatten(0, x.shape[:-1])

    def _is_narrow(self, rows: int) -> bool:
        """Whether one product for the gradient of W' beats six with r columns, by multiplications.

        In half precision W' would be rounded, and small changes of the adapter lost in it.
        """
        rank, (outputs, inputs) = len(self.lora_A), self.weight.shape
        merged = inputs * outputs * (rows + 3 * rank)
        return self.weight.dtype == torch.float32 and merged < 3 * rank * (inputs + outputs) * rows


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


_wide, _narrow = _Wide.apply, _Narrow.apply


class Adapter:
    """The adapter of a model: its layers by the names that their linear layers have in it."""

    def __init__(self, model: torch.nn.Module, config: TrainingConfig) -> None:
        """Put a fresh adapter into `model`, in place; initialised from `config.seed`."""
        torch.manual_seed(config.seed)
        self.layers: dict[str, LoraLinear] = {}
        for name, module in list(model.named_modules()):
            parent, _, last = name.rpartition(".")
            if last in config.target_modules and isinstance(module, torch.nn.Linear):
                self.layers[name] = LoraLinear(module, config)
                setattr(model.get_submodule(parent), last, self.layers[name])

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, under PEFT's names."""
        return {
            f"{PEFT_PREFIX}{name}.{part}.weight": getattr(layer, part)
            for name, layer in self.layers.items()
            for part in ("lora_A", "lora_B")
        }

    def tensors(self) -> dict[str, Tensor]:
        """What `adapter_model.safetensors` holds."""
        return {name: p.detach().cpu().contiguous() for name, p in self.parameters().items()}

    @contextlib.contextmanager
    def off(self) -> Iterator[None]:
        """The base model inside the block: no adapter, no gradients."""
        for layer in self.layers.values():
            layer.enabled = False
        try:
            with torch.no_grad():
                yield
        finally:
            for layer in self.layers.values():
                layer.enabled = True
