"""Sequences in one row: each is computed as if it were alone."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch

from reasonmaxxer.config import ModelConfig
from reasonmaxxer.modeling.base_model import load_base
from reasonmaxxer.modeling.packing import TOKENS_STEP, pack

LENGTHS = (5, 1, 17, 30)


def _base(folder, kind="Llama", **changes):
    model = reference.save_tiny(folder / "model", kind, **changes)
    return load_base(str(model), ModelConfig(path=str(model), dtype="float32"))


def _alone(base, ids):
    """The hidden states of one sequence, as transformers itself computes them."""
    base.model.set_attn_implementation("eager")
    return base.model.base_model(input_ids=torch.tensor([ids]), use_cache=False)[0][0]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        *((kind, {}) for kind in ("Llama", "Qwen2", "Qwen3", "Mistral", "GPT2", "GPTNeoX")),
        # A token sees no further than the window, and the longest sequence is longer.
        ("Mistral", {"sliding_window": 8}),
        # Attention that cannot be chosen, and layers that are none: a sequence at a time.
        ("StableLm", {}),
        ("Lfm2", {"layer_types": ["conv", "full_attention"]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
@torch.no_grad()
def test_each_sequence_is_as_if_it_were_alone(tmp_path, kind, changes):
    base = _base(tmp_path, kind, **changes)
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, reference.VOCABULARY, length) for length in LENGTHS]
    assert base.packs == (kind not in ("StableLm", "Lfm2"))
    found = {}
    for batch in base.batches(LENGTHS, 100):
        packed = base.pack([sequences[i] for i in batch])
        found |= dict(zip(batch, packed.split(base.hidden(packed)), strict=True))
    assert len(base.batches(LENGTHS, 100)) == (1 if base.packs else len(LENGTHS))
    for index, sequence in enumerate(sequences):
        expected = _alone(base, sequence.tolist())
        assert found[index] == pytest.approx(expected, abs=2e-5)


def test_gradients_do_not_pass_from_one_sequence_to_another(tmp_path):
    base = _base(tmp_path)
    packed = base.pack([[3, 1, 4, 1], [5, 9, 2]])
    embedding = base.model.get_input_embeddings()
    embedding.weight.requires_grad_(True)
    first, _ = packed.split(base.hidden(packed))
    first.square().sum().backward()
    touched = embedding.weight.grad.abs().sum(-1).nonzero().flatten().tolist()
    assert touched == [1, 3, 4]


@pytest.mark.parametrize("count", [1, 31, 32, 33])
def test_a_row_is_filled_up_to_a_round_number_of_tokens(count):
    packed = pack([np.ones(count, np.int64)], torch.device("cpu"))
    assert packed.input_ids.shape == packed.positions.shape
    assert packed.input_ids.shape[1] % TOKENS_STEP == 0
    assert [len(rows) for rows in packed.split(packed.input_ids[0])] == [count]
