"""The released approach, written anew to measure against; nothing in it is slowed down.

Scoring: one rollout at a time, its whole [T, V] logits copied out and softmaxed. Training: the
model loaded twice, batch 1, a whole float32 log-softmax of both models over [T, V], gradients
accumulated over the rollouts of a step. Same adapter, optimiser, schedule and loss as ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from peft import get_peft_model
from transformers import AutoModelForCausalLM

from reasonmaxxer.config import ModelConfig, TrainingConfig
from reasonmaxxer.modeling.base_model import lora_config
from reasonmaxxer.modeling.device import on_gpu
from reasonmaxxer.training.loss import Rollout
from reasonmaxxer.training.lr_schedule import learning_rate


def load(path: str, config: ModelConfig):
    """The model as transformers loads it, frozen."""
    dtype = getattr(torch, config.dtype)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="sdpa")
    return model.to("cuda" if on_gpu() else "cpu").eval().requires_grad_(False)


@torch.no_grad()
def score(model, rollouts: Sequence[Rollout], top_k: int) -> list[tuple[torch.Tensor, ...]]:
    """Entropy, log-prob and top-k of every completion position, rollout by rollout."""
    scores = []
    for rollout in rollouts:
        ids = torch.from_numpy(rollout.ids)[None]
        logits = model(input_ids=ids.to(model.device), use_cache=False).logits[0].float().cpu()
        logits = logits[rollout.prompt_length - 1 : -1]
        logprobs = F.log_softmax(logits, dim=-1)
        entropy = -(logprobs.exp() * logprobs).sum(-1)
        sampled = logprobs.gather(1, ids[0, rollout.prompt_length :, None]).squeeze(1)
        best = logprobs.topk(top_k)
        scores.append((entropy, sampled, best.indices, best.values))
    return scores


def initialise(parameters: Iterable[tuple[str, torch.nn.Parameter]], seed: int) -> None:
    """The same adapter for both approaches, whose layers draw theirs in different orders."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(parameters):
        if "lora_A" in name:
            drawn = torch.empty(parameter.shape)
            torch.nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
            parameter.data.copy_(drawn)


class Trainer:
    def __init__(self, path: str, model_config: ModelConfig, config: TrainingConfig) -> None:
        self.config = config
        self.reference = load(path, model_config)
        self.model = get_peft_model(load(path, model_config), lora_config(config))
        self.model.train()
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        initialise(self.model.named_parameters(), config.seed)
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def loss(self, rollout: Rollout) -> torch.Tensor:
        ids = torch.from_numpy(rollout.ids)[None].to(self.reference.device)
        with torch.no_grad():
            base_logits = self.reference(input_ids=ids, use_cache=False).logits
        logits = self.model(input_ids=ids, use_cache=False).logits
        base_logprobs = F.log_softmax(base_logits[0, :-1].float(), dim=-1)
        logprobs = F.log_softmax(logits[0, :-1].float(), dim=-1)
        sampled = logprobs.gather(1, ids[0, 1:, None]).squeeze(1)
        is_decision = torch.zeros(len(sampled), dtype=torch.bool, device=sampled.device)
        is_decision[torch.from_numpy(rollout.positions) + rollout.prompt_length - 1] = True
        clip = self.config.advantage_clip
        advantages = torch.from_numpy(rollout.advantages).to(sampled).clamp(-clip, clip)
        loss = logits.new_zeros(())
        if is_decision.any():
            loss = loss - (advantages * sampled[is_decision]).mean()
        if not is_decision.all():
            divergence = (base_logprobs.exp() * (base_logprobs - logprobs)).sum(-1)
            loss = loss + self.config.anchor_weight * divergence[~is_decision].mean()
        return loss

    def step(self, rollouts: Sequence[Rollout], number: int, steps: int) -> float:
        total = 0.0
        for rollout in rollouts:
            loss = self.loss(rollout) / len(rollouts)
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(number, steps, self.config)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return total
