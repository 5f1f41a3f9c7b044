"""The equations of docs/method.md, word for word: float64, whole logits, loops over positions.

Shares nothing with the package but the names of things. Slow on purpose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

VOCABULARY = 97


def tiny_settings(kind: str, **changes: Any) -> Any:
    """A transformers config of a very small model of this kind."""
    import transformers

    values = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 256,
        "tie_word_embeddings": kind in ("Llama", "Qwen3"),
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": None,
        # Random weights this large make predictions that are neither flat nor certain.
        "initializer_range": 0.2,
    }
    if kind == "Mistral":
        values["sliding_window"] = 6
    return getattr(transformers, f"{kind}Config")(**(values | changes))


def save_tiny(folder: Path, kind: str = "Llama", seed: int = 0, **changes: Any) -> Path:
    """Write a very small random model as a model folder."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    AutoModelForCausalLM.from_config(tiny_settings(kind, **changes)).save_pretrained(folder)
    return folder


class InDouble(TorchFunctionMode):
    """Makes float64 of what asks for float32.

    transformers computes its norms, the softmax of attention and rotary positions in float32,
    whatever type the model has.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is torch.Tensor.float:
            function = torch.Tensor.double
        args = tuple(map(self._wide, args))
        return function(*args, **{key: self._wide(value) for key, value in (kwargs or {}).items()})

    def _wide(self, value: Any) -> Any:
        return torch.float64 if value is torch.float32 else value


def load(folder: Path) -> Any:
    """The model in float64, with attention written out."""
    from transformers import AutoModelForCausalLM

    with InDouble():
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float64, attn_implementation="eager"
        )
    return model.requires_grad_(False).eval()


@dataclass
class Adapter:
    """LoRA by hand: W + alpha / rank * B A, for the weights called `name`."""

    scale: float
    a: dict[str, torch.Tensor] = field(default_factory=dict)
    b: dict[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def from_peft(cls, tensors: dict[str, torch.Tensor], scale: float) -> Adapter:
        """From tensors under the keys of an adapter_model.safetensors."""
        adapter = cls(scale)
        for key, tensor in tensors.items():
            name, part, _ = key.removeprefix("base_model.model.").rsplit(".", 2)
            into = adapter.a if part == "lora_A" else adapter.b
            into[f"{name}.weight"] = tensor.double().clone().requires_grad_()
        return adapter

    def weights(self, model: Any) -> dict[str, torch.Tensor]:
        weights = dict(model.named_parameters())
        return {n: weights[n] + self.scale * self.b[n] @ self.a[n] for n in self.a}

    def gradients(self) -> dict[str, torch.Tensor]:
        """By PEFT's keys."""
        found = {}
        for part, tensors in (("lora_A", self.a), ("lora_B", self.b)):
            for name, tensor in tensors.items():
                stem = name.removesuffix(".weight")
                found[f"base_model.model.{stem}.{part}.weight"] = tensor.grad
        return found


def logits(model: Any, ids: list[int], adapter: Adapter | None = None) -> torch.Tensor:
    """[T, V] for one sequence alone."""
    weights = adapter.weights(model) if adapter else {}
    inputs = {"input_ids": torch.tensor([ids]), "use_cache": False}
    with InDouble():
        return functional_call(model, weights, kwargs=inputs).logits[0]


def probabilities(row: torch.Tensor) -> torch.Tensor:
    powers = (row - row.max()).exp()
    return powers / powers.sum()


def entropy(row: torch.Tensor) -> float:
    """H = - sum_v p(v) log p(v), in nats (Eq. 2)."""
    return -sum(p * math.log(p) for p in probabilities(row).tolist() if p > 0)


def divergence(base: torch.Tensor, adapted: torch.Tensor) -> torch.Tensor:
    """KL(p_base || p_theta) of one position's logits."""
    p, q = probabilities(base), probabilities(adapted)
    return (p * (p.log() - q.log())).sum()


@dataclass
class Sequence:
    prompt: list[int]
    completion: list[int]
    advantages: list[float]  # of each position
    positions: list[int]


def loss(
    model: Any,
    adapter: Adapter,
    sequences: list[Sequence],
    anchor_weight: float,
    clip: float = 2.5,
    floor: float | None = None,
    objective: str = "contrastive",
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(L, L_dec, L_anchor), each the mean over sequences (Eqs. 6 and 7)."""
    decisions, anchors = [], []
    for sequence in sequences:
        ids = sequence.prompt + sequence.completion
        base, adapted = logits(model, ids), logits(model, ids, adapter)
        terms, divergences = [], []
        for t in range(1, len(ids)):
            position = t - len(sequence.prompt)
            if position in sequence.positions:
                advantage = sequence.advantages[sequence.positions.index(position)]
                advantage = max(-clip, min(clip, advantage))
                logprob = probabilities(adapted[t - 1])[ids[t]].log()
                if floor is not None and advantage < 0 and logprob < math.log(floor):
                    logprob = logprob.detach() * 0 + math.log(floor)
                if objective == "ratio":
                    base_logprob = probabilities(base[t - 1])[ids[t]].log()
                    terms.append(-advantage * (logprob - base_logprob).exp().clamp(max=20))
                else:
                    terms.append(-advantage * logprob)
            else:
                divergences.append(divergence(base[t - 1], adapted[t - 1]))
        decisions.append(_mean(terms))
        anchors.append(_mean(divergences))
    decision, anchor = _mean(decisions), _mean(anchors)
    return decision + anchor_weight * anchor, decision, anchor


def _mean(terms: list[torch.Tensor]) -> torch.Tensor:
    return sum(terms, torch.zeros((), dtype=torch.float64)) / max(len(terms), 1)
