"""Products and frozen layers equal plain float64 ones, whichever library computes them."""

from __future__ import annotations

import pytest
import torch

from reasonmaxxer.modeling.products import WORTHWHILE, freeze, product


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
    freeze(layers)
    x = torch.randn(rows, 64)
    gradients = []
    for model, dtype in ((layers, torch.float32), (exact, torch.float64)):
        inputs = x.to(dtype, copy=True).requires_grad_()
        model(inputs).square().sum().backward()
        gradients.append(inputs.grad.double())
    assert (gradients[0] - gradients[1]).norm() < 1e-6 * gradients[1].norm()
    assert all(parameter.grad is None for parameter in layers.parameters())
