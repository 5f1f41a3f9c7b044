"""LoRA: y = x W'^T with W' = W + s B A, base weight W frozen and s = alpha / rank.

PEFT owns the format (`adapter_config.json`, the names of the tensors), and what is trained here
loads there. The layers compute with the kernel of `cpu_kernels`, which keeps fewer activations.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import TrainingConfig
from . import cpu_kernels
from .cpu_kernels import frozen_linear, lora_linear

PEFT_PREFIX = "base_model.model."


class LoraLinear(torch.nn.Module):
    """A frozen linear layer with an adapter, whose weights are float32 whatever the layer's type.

    Initialised as PEFT does it: A [r, I] uniform (Kaiming, a = sqrt 5), B [O, r] zero.

    Args:
        linear: the layer W [O, I], whose weights are shared, not copied.
        config: rank, alpha and dropout.
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
        """x [..., I] to [..., O] in the base's dtype; without the adapter if not `enabled`."""
        if not self.enabled:
            return frozen_linear(x, self.weight, self.bias)
        if cpu_kernels.enabled() and not (self.training and self.dropout):
            return lora_linear(x, self.weight, self.bias, self.lora_A, self.lora_B, self.scale)
        down, up = (m.to(x.dtype) for m in (self.lora_A, self.lora_B))
        change = F.linear(F.linear(F.dropout(x, self.dropout, self.training), down), up)
        return frozen_linear(x, self.weight, self.bias) + self.scale * change


class Adapter:
    """The adapter of a model: its layers by the names that their linear layers have in it.

    Args:
        model: gets a fresh adapter, in place.
        config: target modules, rank, alpha, dropout, and the seed of its first weights.
    """

    def __init__(self, model: torch.nn.Module, config: TrainingConfig) -> None:
        torch.manual_seed(config.seed)
        self.layers: dict[str, LoraLinear] = {}
        for name, module in list(model.named_modules()):
            parent, _, last = name.rpartition(".")
            if last in config.target_modules and isinstance(module, torch.nn.Linear):
                self.layers[name] = LoraLinear(module, config)
                setattr(model.get_submodule(parent), last, self.layers[name])

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, under PEFT's names: A [r, I] and B [O, r], float32."""
        return {
            f"{PEFT_PREFIX}{name}.{part}.weight": getattr(layer, part)
            for name, layer in self.layers.items()
            for part in ("lora_A", "lora_B")
        }

    def tensors(self) -> dict[str, Tensor]:
        """What `adapter_model.safetensors` holds: A [r, I] and B [O, r], float32, on the CPU."""
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
