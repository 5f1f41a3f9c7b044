"""Whether the package agrees with the reference, on any model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import torch

from reasonmaxxer.config import ModelConfig, TrainingConfig
from reasonmaxxer.modeling.base_model import load_base
from reasonmaxxer.stages.entropies import score_rollouts
from reasonmaxxer.training.loss import Rollout
from reasonmaxxer.training.trainer import Trainer


def trainer_of(
    model: Path, sequences: Sequence[reference.Sequence], spread: float = 0.1, **config: Any
) -> Trainer:
    """A trainer whose adapter is random: a fresh one is the base, which would show nothing."""
    base = load_base(str(model), ModelConfig(path=str(model), dtype="float32"))
    rollouts = [
        Rollout(
            np.array(s.prompt + s.completion),
            len(s.prompt),
            np.array(s.advantages, dtype=np.float32),
            np.array(s.positions, dtype=np.int64),
        )
        for s in sequences
    ]
    settings = {"rank": 4, "alpha": 8, "anchor_weight": 0.2} | config
    trainer = Trainer(base, rollouts, TrainingConfig(**settings))
    generator = torch.Generator().manual_seed(3)
    for parameter in trainer.parameters.values():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return trainer


def assert_gradients_agree(
    model: Path,
    sequences: Sequence[reference.Sequence],
    batch_tokens: int,
    spread: float = 0.1,
    **config: Any,
) -> None:
    """Both losses and the whole gradient to a relative 1e-4, and that of every LoRA matrix."""
    trainer = trainer_of(model, sequences, spread, **config)
    totals = trainer.accumulate(range(len(sequences)), batch_tokens).means(len(sequences))

    adapter = reference.Adapter.from_peft(trainer.adapter.tensors(), scale=2.0)
    weight, floor = trainer.config.anchor_weight, trainer.config.probability_floor
    total, decision, anchor = reference.loss(
        reference.load(model),
        adapter,
        list(sequences),
        weight,
        floor=floor,
        objective=trainer.config.objective,
    )
    total.backward()

    assert totals["loss"] == pytest.approx(total.item(), rel=1e-4, abs=1e-7)
    assert totals["decision_loss"] == pytest.approx(decision.item(), rel=1e-4, abs=1e-7)
    assert totals["anchor_loss"] == pytest.approx(anchor.item(), rel=1e-4, abs=1e-7)
    expected = adapter.gradients()
    found = {name: parameter.grad for name, parameter in trainer.parameters.items()}
    assert found.keys() == expected.keys()
    errors = {name: (found[name].double() - expected[name]).norm() for name in expected}
    for name, gradient in expected.items():
        assert errors[name] <= 1e-4 * gradient.norm() + 1e-9, name
    whole = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    assert torch.stack(list(errors.values())).norm() <= 1e-4 * whole + 1e-9


def assert_scores_agree(
    model: Path, rollouts: Sequence[tuple[list[int], list[int]]], tolerance: float
) -> None:
    """Entropies, log-probs and top 5 of these (prompt, completion) pairs."""
    base = load_base(str(model), ModelConfig(path=str(model), dtype="float32"))
    rows = [
        {"problem_id": "p", "sample": i, "prompt_token_ids": prompt, "token_ids": completion}
        for i, (prompt, completion) in enumerate(rollouts)
    ]
    found = score_rollouts(base, rows, 5, 64)
    exact = reference.load(model)
    place = 0
    for prompt, completion in rollouts:
        logits = reference.logits(exact, prompt + completion)
        for line, token in zip(logits[len(prompt) - 1 :], completion, strict=False):
            probabilities = reference.probabilities(line)
            best = probabilities.topk(6)
            entropy, logprob = reference.entropy(line), probabilities[token].log().item()
            assert found["entropy"][place] == pytest.approx(entropy, abs=tolerance)
            assert found["logprob"][place] == pytest.approx(logprob, abs=5 * tolerance)
            top = best.values[:5].log().tolist()
            assert found["top_logprobs"][place].as_py() == pytest.approx(top, abs=5 * tolerance)
            gaps = best.values.log().diff().abs()
            if gaps.min() > 10 * tolerance:  # else a tie
                assert found["top_ids"][place].as_py() == best.indices[:5].tolist()
            place += 1
    assert place == len(found["entropy"])
