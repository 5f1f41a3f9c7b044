"""The scorer agrees with the reference for every architecture, resumes, and checks its inputs."""

from itertools import pairwise

import numpy as np
import pytest
import reference
import torch
from reference_checks import assert_scores_agree
from rollout_rows import random_rollouts, rollout

from reasonmaxxer import tables
from reasonmaxxer.config import EntropiesConfig, ModelConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.modeling.packing import fill_batches
from reasonmaxxer.stages import entropies

KINDS = ["Llama", "Qwen2", "Qwen3", "Mistral"]


def _rollouts(path, lengths):
    rows = random_rollouts(lengths, samples=2)
    tables.write(path, "rollouts", rows)
    return rows


def _score(tmp_path, rollouts, model, batch_tokens=64, **config):
    model_config = ModelConfig(path=str(model), dtype="float32")
    entropies.run(
        rollouts=rollouts,
        model=model_config,
        config=EntropiesConfig(**config),
        out=tmp_path / "entropies.parquet",
        scratch=tmp_path / "scratch",
        batch_tokens=batch_tokens,
    )
    return tables.read(tmp_path / "entropies.parquet", "entropies").to_pylist()


SHAPES = [(1, 1), (3, 9), (12, 2), (5, 20), (4, 0), (7, 7)]


@pytest.mark.parametrize("kind", KINDS)
def test_scores_equal_the_reference_for_every_architecture(tmp_path, kind):
    model = reference.save_tiny(tmp_path / "model", kind)
    rows = _rollouts(tmp_path / "rollouts.parquet", SHAPES)
    pairs = [(row["prompt_token_ids"], row["token_ids"]) for row in rows]
    assert_scores_agree(model, pairs, tolerance=1e-5)


def test_the_table_has_a_row_for_each_sampled_token_in_order(tmp_path):
    model = reference.save_tiny(tmp_path / "model")
    rows = _rollouts(tmp_path / "rollouts.parquet", SHAPES)
    found = iter(_score(tmp_path, tmp_path / "rollouts.parquet", model))
    exact = reference.load(model)
    for row in rows:
        logits = reference.logits(exact, row["prompt_token_ids"] + row["token_ids"])
        for position, token in enumerate(row["token_ids"]):
            got = next(found)
            key = (got["problem_id"], got["sample"], got["position"], got["token_id"])
            assert key == (row["problem_id"], row["sample"], position, token)
            line = logits[len(row["prompt_token_ids"]) + position - 1]
            assert got["entropy"] == pytest.approx(reference.entropy(line), abs=1e-5)
    assert next(found, None) is None


def test_batch_size_moves_nothing_but_the_last_digits(tmp_path):
    model = reference.save_tiny(tmp_path / "model")
    _rollouts(tmp_path / "rollouts.parquet", [(3, 5 + i) for i in range(12)])
    one = _score(tmp_path, tmp_path / "rollouts.parquet", model, batch_tokens=1)
    many = _score(tmp_path, tmp_path / "rollouts.parquet", model, batch_tokens=4096)
    assert [r["entropy"] for r in one] == pytest.approx([r["entropy"] for r in many], abs=1e-5)


def test_an_interrupted_run_goes_on_from_its_finished_parts(tmp_path, monkeypatch):
    model = reference.save_tiny(tmp_path / "model")
    _rollouts(tmp_path / "rollouts.parquet", [(3, 10)] * 6)
    monkeypatch.setattr(entropies, "PART_TOKENS", 20)
    whole = _score(tmp_path, tmp_path / "rollouts.parquet", model)
    (tmp_path / "entropies.parquet").unlink()

    real, scored = entropies.score_rollouts, []

    def counted(base, part, *rest):
        if len(scored) == 2:
            raise KeyboardInterrupt
        scored.append(len(part))
        return real(base, part, *rest)

    monkeypatch.setattr(entropies, "score_rollouts", counted)
    with pytest.raises(KeyboardInterrupt):
        _score(tmp_path, tmp_path / "rollouts.parquet", model)
    assert not (tmp_path / "entropies.parquet").exists()

    monkeypatch.setattr(
        entropies, "score_rollouts", lambda *a: scored.append(len(a[1])) or real(*a)
    )
    assert _score(tmp_path, tmp_path / "rollouts.parquet", model) == whole
    assert scored == [2, 2, 2]  # each part once, over both runs
    assert not any((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize(
    ("prompt", "completion", "message"),
    [
        ([1, 2], [3, 97], "token_ids: token id 97 is outside the model's vocabulary of 97"),
        ([-1, 2], [3], "prompt_token_ids: token id -1 is outside"),
        ([], [3], "a prompt without tokens"),
    ],
    ids=["too-large", "negative", "no-prompt"],
)
def test_rollouts_of_another_model_are_an_error(tmp_path, prompt, completion, message):
    model = reference.save_tiny(tmp_path / "model")
    (model / "model.safetensors").unlink()  # the check comes before any weights are read
    tables.write(tmp_path / "rollouts.parquet", "rollouts", [rollout(prompt, completion)])
    with pytest.raises(UserError, match=message):
        _score(tmp_path, tmp_path / "rollouts.parquet", model)


def test_a_model_that_changes_its_logits_is_refused(tmp_path):
    from transformers import AutoModelForCausalLM, GraniteConfig

    settings = GraniteConfig(
        **reference.tiny_settings("Llama").to_diff_dict() | {"logits_scaling": 4.0}
    )
    AutoModelForCausalLM.from_config(settings).save_pretrained(tmp_path / "model")
    _rollouts(tmp_path / "rollouts.parquet", [(2, 2)])
    with pytest.raises(UserError, match="scales, caps or otherwise changes its logits"):
        _score(tmp_path, tmp_path / "rollouts.parquet", tmp_path / "model")


def test_a_model_that_is_not_there_is_an_error(tmp_path):
    _rollouts(tmp_path / "rollouts.parquet", [(2, 2)])
    with pytest.raises(UserError, match=r"model\.path: .*nowhere"):
        _score(tmp_path, tmp_path / "rollouts.parquet", tmp_path / "nowhere")


@pytest.mark.parametrize("budget", [1, 500, 16384])
def test_batches_hold_every_sequence_once_within_the_budget(budget):
    lengths = np.random.default_rng(0).integers(1, 400, 500).tolist()
    batches = fill_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(500))
    assert all(sum(lengths[i] for i in b) <= budget or len(b) == 1 for b in batches)
    # No two that follow each other would fit into one.
    for one, other in pairwise(batches):
        assert sum(lengths[i] for i in one) + lengths[other[0]] > budget


def test_bfloat16_entropies_are_those_of_the_float32_model_up_to_rounding(tmp_path):
    model = reference.save_tiny(tmp_path / "model")
    rows = _rollouts(tmp_path / "rollouts.parquet", [(3, 20)])
    base = entropies.load_base(str(model), ModelConfig(path=str(model), dtype="bfloat16"))
    found = entropies.score_rollouts(base, rows, 5, 64)
    exact = _score(tmp_path, tmp_path / "rollouts.parquet", model)
    assert base.dtype == torch.bfloat16
    assert found["entropy"] == pytest.approx([row["entropy"] for row in exact], abs=0.25)
