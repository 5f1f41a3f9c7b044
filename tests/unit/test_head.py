"""Entropy, log-probs, top-k and KL from hidden states agree with whole float64 logits."""

import pytest
import reference
import torch

from reasonmaxxer.modeling import lm_head as head_module
from reasonmaxxer.modeling.lm_head import (
    Head,
    kl_divergence,
    sampled_logprobs,
    score,
    top_divergence,
)


def _problem(vocabulary: int, rows: int, width: int = 24, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(vocabulary, width, generator=generator) * 0.6
    hidden = torch.randn(rows, width, generator=generator)
    targets = torch.randint(0, vocabulary, (rows,), generator=generator)
    return weight, hidden, targets


@pytest.mark.parametrize("vocabulary", [97, 1344, 1500], ids=str)
@pytest.mark.parametrize("bias", [False, True], ids=["no-bias", "bias"])
def test_scores_equal_the_reference(vocabulary, bias):
    weight, hidden, targets = _problem(vocabulary, rows=40)
    offset = torch.linspace(-1, 1, vocabulary) if bias else None
    found = score(Head(weight, offset), hidden, targets, top_k=5)
    whole = hidden.double() @ weight.double().T + (offset.double() if bias else 0)
    for row, logits in enumerate(whole):
        probabilities = reference.probabilities(logits)
        best = probabilities.sort(descending=True)
        assert abs(found.entropy[row].item() - reference.entropy(logits)) < 1e-5
        assert abs(found.logprob[row].item() - probabilities[targets[row]].log().item()) < 1e-5
        assert found.top_ids[row].tolist() == best.indices[:5].tolist()
        assert torch.allclose(
            found.top_logprobs[row].double(), best.values[:5].log(), rtol=0, atol=1e-5
        )


def test_a_certain_prediction_has_entropy_zero():
    found = score(Head(torch.eye(8) * 200), torch.eye(8)[:1], torch.tensor([0]), top_k=3)
    assert found.entropy.tolist() == [0.0]
    assert found.logprob.tolist() == [0.0]


def test_a_flat_prediction_has_entropy_log_v():
    found = score(Head(torch.zeros(97, 4)), torch.ones(3, 4), torch.tensor([0, 5, 96]), top_k=3)
    assert torch.allclose(found.entropy, torch.tensor(97.0).log().expand(3), atol=1e-6)


def test_asking_for_more_than_the_vocabulary_gives_the_vocabulary():
    weight, hidden, targets = _problem(7, rows=2)
    assert score(Head(weight), hidden, targets, top_k=64).top_ids.shape == (2, 7)


def test_results_do_not_depend_on_the_tile(monkeypatch):
    weight, hidden, targets = _problem(97, rows=1500)
    whole = score(Head(weight), hidden, targets, top_k=5)
    monkeypatch.setattr(head_module, "CPU_TILE_ELEMENTS", 300)
    tiled = score(Head(weight), hidden, targets, top_k=5)
    assert torch.allclose(whole.entropy, tiled.entropy, atol=1e-6)
    assert torch.equal(whole.top_ids, tiled.top_ids)


@pytest.mark.parametrize("tile", [300, 6 << 20], ids=["small-tiles", "one-tile"])
def test_gradients_equal_the_reference(monkeypatch, tile):
    monkeypatch.setattr(head_module, "CPU_TILE_ELEMENTS", tile)
    weight, hidden, targets = _problem(97, rows=30)
    base_hidden = hidden + 0.3 * torch.randn(30, 24, generator=torch.Generator().manual_seed(9))
    scale = torch.linspace(-2, 2, 30)

    exact = hidden.double().requires_grad_()
    logits = exact @ weight.double().T
    base_logits = base_hidden.double() @ weight.double().T
    expected = torch.zeros((), dtype=torch.float64)
    for row in range(30):
        logprob = reference.probabilities(logits[row])[targets[row]].log()
        expected = expected + scale[row] * logprob
        expected = expected + 0.7 * reference.divergence(base_logits[row], logits[row])
    expected.backward()

    hidden.requires_grad_()
    head = Head(weight)
    found = (scale * sampled_logprobs(head, hidden, targets)).sum()
    found = found + 0.7 * kl_divergence(head, hidden, base_hidden).sum()
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    error = (hidden.grad.double() - exact.grad).norm() / exact.grad.norm()
    assert error < 1e-5


def test_equal_models_diverge_by_nothing():
    weight, hidden, _ = _problem(1500, rows=5)
    assert kl_divergence(Head(weight), hidden, hidden.clone()).abs().max() < 1e-6


def test_bfloat16_weights_give_float32_logits():
    weight, hidden, targets = _problem(1500, rows=20)
    weight, hidden = weight.bfloat16(), hidden.bfloat16()
    found = score(Head(weight), hidden, targets, top_k=5)
    whole = hidden.double() @ weight.double().T
    expected = torch.tensor([reference.entropy(row) for row in whole])
    assert torch.allclose(found.entropy, expected.float(), atol=1e-5)


def test_memory_for_logits_is_bounded_by_the_tile(monkeypatch):
    weight, hidden, targets = _problem(20_000, rows=2000)
    logits, sizes = Head.logits, []

    def watched(self, rows):
        found = logits(self, rows)
        sizes.append(found.numel())
        return found

    monkeypatch.setattr(Head, "logits", watched)
    head = Head(weight)
    score(head, hidden, targets, top_k=5)
    sampled_logprobs(head, hidden.requires_grad_(), targets)
    kl_divergence(head, hidden, hidden.detach())
    assert sum(sizes) == 4 * len(hidden) * head.vocabulary
    assert max(sizes) <= head_module.CPU_TILE_ELEMENTS


@pytest.mark.parametrize("tile", [300, 6 << 20], ids=["small-tiles", "one-tile"])
def test_divergence_from_a_few_tokens_equals_the_reference(monkeypatch, tile):
    monkeypatch.setattr(head_module, "CPU_TILE_ELEMENTS", tile)
    weight, hidden, _ = _problem(97, rows=30)
    generator = torch.Generator().manual_seed(4)
    ids = torch.stack([torch.randperm(97, generator=generator)[:6] for _ in range(30)])
    logprobs = torch.randn(30, 6, generator=generator).log_softmax(-1)
    scale = torch.linspace(-2, 2, 30)

    ours = hidden.clone().requires_grad_()
    found = top_divergence(Head(weight), ours, ids, logprobs)
    (found * scale).sum().backward()

    exact = hidden.double().requires_grad_()
    rows = exact @ weight.double().T
    expected = []
    for row, chosen, wanted in zip(rows, ids, logprobs.double(), strict=True):
        gaps = wanted - reference.probabilities(row)[chosen].log()
        expected.append((wanted.exp() * gaps).sum())
    expected = torch.stack(expected)
    (expected * scale.double()).sum().backward()
    assert torch.allclose(found.double(), expected, atol=1e-5)
    assert torch.allclose(ours.grad.double(), exact.grad, atol=1e-5)
