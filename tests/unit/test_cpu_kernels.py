"""Own kernels equal float64, leave alone what they do not know, and can be switched off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import reference
import torch
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from reasonmaxxer.config import ModelConfig, TrainingConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.modeling import cpu_kernels
from reasonmaxxer.modeling.base_model import load_base
from reasonmaxxer.modeling.cpu_kernels import (
    SWITCH,
    WORTHWHILE,
    FrozenLinear,
    FrozenRMSNorm,
    install,
    product,
)
from reasonmaxxer.modeling.lm_head import score
from reasonmaxxer.training.loss import Rollout
from reasonmaxxer.training.trainer import Trainer

PACKAGE = Path(cpu_kernels.__file__).parents[1]


@pytest.fixture
def switch(monkeypatch):
    """Turn the kernels on or off, as a new process would find the variable."""

    def turn(value: str) -> None:
        monkeypatch.setenv(SWITCH, value)
        cpu_kernels.enabled.cache_clear()

    yield turn
    monkeypatch.undo()
    cpu_kernels.enabled.cache_clear()


# --- products ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)], ids=str
)
@pytest.mark.parametrize("rows", [0, 1, 7, 512], ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("transposed", [True, False], ids=["transposed", "plain"])
def test_a_product_is_that_of_float64(dtype, tolerance, rows, bias, transposed):
    generator = torch.Generator().manual_seed(0)
    outputs, inputs = 96, 128
    assert 512 * outputs * inputs > WORTHWHILE > 7 * outputs * inputs  # either way is taken
    x = torch.randn(2, rows, inputs, generator=generator).to(dtype)
    matrix = torch.randn(outputs, inputs, generator=generator).to(dtype)
    if transposed:
        x, matrix = x.mT.contiguous().mT, matrix.t().contiguous().t()
    added = torch.randn(outputs, generator=generator).to(dtype) if bias else None
    found = product(x, matrix, added)
    exact = x.double() @ matrix.double().t() + (0 if added is None else added.double())
    assert found.dtype == dtype and found.shape == (2, rows, outputs)
    assert (found.double() - exact).norm() <= tolerance * exact.norm()


@pytest.mark.parametrize("rows", [3, 600])
def test_a_frozen_model_passes_gradients_through_and_gathers_none(rows):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Linear(64, 128), torch.nn.SiLU(), torch.nn.Linear(128, 64, bias=False)
    )
    exact = torch.nn.Sequential(
        torch.nn.Linear(64, 128), torch.nn.SiLU(), torch.nn.Linear(128, 64, bias=False)
    ).double()
    exact.load_state_dict(layers.state_dict())
    install(layers.requires_grad_(False))
    x = torch.randn(rows, 64)
    gradients = []
    for model, dtype in ((layers, torch.float32), (exact, torch.float64)):
        inputs = x.to(dtype, copy=True).requires_grad_()
        model(inputs).square().sum().backward()
        gradients.append(inputs.grad.double())
    assert (gradients[0] - gradients[1]).norm() < 1e-6 * gradients[1].norm()
    assert all(parameter.grad is None for parameter in layers.parameters())


# --- RMSNorm ----------------------------------------------------------------------------------


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
    install(norm)
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
    install(norm)
    assert type(norm) is kind


# --- the switch -------------------------------------------------------------------------------


def computed(model: Path, dropout: float) -> list[torch.Tensor]:
    """Scores of a model's states, and the gradient of every LoRA matrix, on fixed rollouts."""
    base = load_base(str(model), ModelConfig(path=str(model), dtype="float32"))
    rng = np.random.default_rng(0)
    ids = [rng.integers(0, reference.VOCABULARY, length) for length in (60, 90, 120)]
    with torch.no_grad():
        states = base.hidden(base.pack(ids))
        scores = score(base.head, states, torch.zeros(len(states), dtype=torch.int64), top_k=3)
    rollouts = [
        Rollout(one, 20, np.full(10, (-1.0) ** i, np.float32), np.arange(0, 30, 3))
        for i, one in enumerate(ids)
    ]
    settings = {"dropout": dropout, "sequences": 3, "warmup_steps": 0, "checkpoints": 1}
    config = TrainingConfig(rank=4, alpha=8, **settings)
    trainer = Trainer(base, rollouts, config)
    generator = torch.Generator().manual_seed(1)
    for parameter in trainer.parameters.values():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    trainer.accumulate(range(3), 4096)
    kernels = {FrozenLinear, FrozenRMSNorm} & set(map(type, base.model.modules()))
    assert kernels == ({FrozenLinear, FrozenRMSNorm} if cpu_kernels.enabled() else set())
    return [scores.entropy, scores.logprob, *(p.grad for p in trainer.parameters.values())]


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_without_the_kernels_the_same_comes_out_within_rounding(tmp_path, switch, dropout):
    model = reference.save_tiny(tmp_path / "model")
    switch("1")
    ours = computed(model, dropout)
    switch("0")
    theirs = computed(model, dropout)
    assert len(ours) > 2 and all(tensor.norm() > 0 for tensor in theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).norm() < 1e-4 * other.norm()


def test_off_is_pytorchs_own_code(switch, monkeypatch):
    monkeypatch.setattr(cpu_kernels._Frozen, "forward", None)
    monkeypatch.setattr(cpu_kernels, "_has_onednn", None)
    x, weight = torch.ones(600, 128, requires_grad=True), torch.ones(96, 128)
    switch("0")
    cpu_kernels.frozen_linear(x, weight, None).sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 96.0))
    switch("1")
    with pytest.raises(TypeError):
        cpu_kernels.frozen_linear(x, weight, None)


def test_a_switch_that_is_neither_on_nor_off_is_refused(switch):
    switch("off")
    with pytest.raises(UserError, match=f"environment variable {SWITCH}: 'off' .* 0 to compute"):
        install(torch.nn.Linear(2, 2))


def test_the_switch_is_read_in_one_place():
    naming = [path.name for path in PACKAGE.rglob("*.py") if SWITCH in path.read_text()]
    assert naming == ["cpu_kernels.py"]
