"""The loss and every LoRA gradient equal the reference, for every architecture and odd rollout."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference
import torch
from reference import Sequence
from reference_checks import assert_gradients_agree, trainer_of

from reasonmaxxer.config import ModelConfig, TrainingConfig
from reasonmaxxer.method.objectives import OBJECTIVES
from reasonmaxxer.modeling.base_model import load_base
from reasonmaxxer.training.loss import Rollout
from reasonmaxxer.training.trainer import Trainer

RNG = np.random.default_rng(7)


def _sequence(prompt, completion, advantage, positions) -> Sequence:
    ids = RNG.integers(0, reference.VOCABULARY, prompt + completion).tolist()
    advantages = np.broadcast_to(advantage, len(positions)).tolist()
    return Sequence(ids[:prompt], ids[prompt:], advantages, positions)


CASES = {
    "ragged": [
        _sequence(3, 12, 1.0, [0, 5, 11]),
        _sequence(9, 4, -0.7, [2]),
        _sequence(1, 20, 1.7, [1, 2, 3, 19]),
    ],
    "no-decisions": [_sequence(4, 8, 1.0, []), _sequence(2, 5, -1.0, [4])],
    "all-decisions": [_sequence(4, 6, -1.0, list(range(6))), _sequence(1, 3, 1.0, [0, 1, 2])],
    "zero-advantage": [_sequence(4, 8, 0.0, [1, 2]), _sequence(2, 9, 0.0, [])],
    "clipped-advantage": [_sequence(3, 5, 4.36, [0, 1]), _sequence(3, 5, -3.1, [2])],
    "empty-completion": [_sequence(6, 0, 1.0, []), _sequence(2, 4, 1.0, [0])],
    "credit-by-token": [_sequence(3, 9, [0.9, -1.4, 0.0], [0, 4, 7]), _sequence(2, 5, -0.6, [1])],
    "one-alone": [_sequence(2, 7, 0.4, [6])],
}


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Qwen3", "Mistral"])
def test_loss_and_gradients_equal_the_reference_for_every_architecture(tmp_path, kind):
    assert_gradients_agree(
        reference.save_tiny(tmp_path / "model", kind), CASES["ragged"], batch_tokens=4096
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("batch_tokens", [1, 4096], ids=["one-by-one", "together"])
def test_loss_and_gradients_equal_the_reference_for_every_rollout(tmp_path, name, batch_tokens):
    assert_gradients_agree(reference.save_tiny(tmp_path / "model"), CASES[name], batch_tokens)


@pytest.mark.parametrize(
    "config",
    [
        {"anchor_weight": 0.0},
        {"anchor_weight": 3.0},
        {"probability_floor": 0.01},
        {"objective": "ratio"},
        {"target_modules": ["q_proj", "down_proj", "gate_proj"]},
        {"rank": 32, "alpha": 64},  # so wide beside the model that the narrow way is taken
    ],
    ids=["no-anchor", "strong-anchor", "floor", "ratio", "other-targets", "high-rank"],
)
def test_loss_and_gradients_equal_the_reference_for_every_option(tmp_path, config):
    assert_gradients_agree(reference.save_tiny(tmp_path / "model"), CASES["ragged"], 4096, **config)


def test_the_floor_stops_the_push_on_tokens_below_it(tmp_path):
    sequences = [_sequence(3, 6, -1.0, [0, 1, 2, 3, 4, 5])]
    model = reference.save_tiny(tmp_path / "model")
    trainer = trainer_of(model, sequences, anchor_weight=0.0, probability_floor=0.999)
    trainer.accumulate([0], 4096)
    assert all(not parameter.grad.any() for parameter in trainer.parameters.values())


@pytest.mark.parametrize("name", CASES)
def test_the_ratio_equals_the_reference_far_from_the_base(tmp_path, name):
    model = reference.save_tiny(tmp_path / "model")
    assert_gradients_agree(model, CASES[name], 4096, spread=0.5, objective="ratio")


def test_the_ratio_has_nothing_to_gain_from_a_token_that_is_gone():
    logprobs = torch.tensor([-0.1, -3.0, -30.0, -0.1], requires_grad=True)
    base = torch.tensor([-1.0, -1.0, -1.0, -5.0])
    terms = OBJECTIVES["ratio"].term(logprobs, base, torch.tensor([1.0, -1.0, -1.0, 1.0]), None)
    terms.sum().backward()
    assert terms[:3].tolist() == pytest.approx([-math.exp(0.9), math.exp(-2), math.exp(-29)])
    # A token that the base gave under 1% counts twenty times, and is pushed no further.
    assert terms[3] == -20 and logprobs.grad[3] == 0
    assert logprobs.grad[2].abs() < 1e-12 < logprobs.grad[1]


def test_the_ratio_has_no_floor():
    with pytest.raises(ValueError, match="probability_floor: the objective ratio has no floor"):
        TrainingConfig(objective="ratio", probability_floor=0.2)


def test_a_fresh_adapter_is_the_base(tmp_path):
    model = reference.save_tiny(tmp_path / "model")
    base = load_base(str(model), ModelConfig(path=str(model), dtype="float32"))
    s = CASES["ragged"][0]
    rollout = Rollout(
        np.array(s.prompt + s.completion), 3, np.ones(3, np.float32), np.array([0, 5, 11])
    )
    trainer = Trainer(base, [rollout], TrainingConfig(rank=4))
    totals = trainer.accumulate([0], 4096).means(1)
    assert abs(totals["anchor_loss"]) < 1e-6
    assert totals["positive_change"] == pytest.approx(0, abs=1e-6)
