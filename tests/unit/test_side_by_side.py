"""The stage `side_by_side`: what stands at each position, against softmaxes of the whole models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import torch
from reference import save_tiny

from reasonmaxxer import __main__, tables
from reasonmaxxer.config import ModelConfig

ARMS = {"base": 0.3, "reasonmaxxer": 0.6}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A made-up evaluation, read under a tiny model with and without an adapter."""
    folder = tmp_path_factory.mktemp("run")
    sizes: dict[str, Any] = {"benchmarks": {"chains": (12, 2)}, "training": False, "length": 10}
    manifest = synthetic.make_run(folder, arms=ARMS, **sizes)
    model = save_tiny(folder / "tiny", vocab_size=len(synthetic.WORDS))
    save_adapter(model, folder / "adapter")
    evaluation = {arm: manifest["arms"][arm]["evaluation"] for arm in ARMS}
    job = {"base": "base", "main": "reasonmaxxer", "samples": {"chains": 2}}
    config = ModelConfig(path=str(model), dtype="float32", max_length=64)
    __main__.main(
        [
            *("side_by_side", "--job", json.dumps({**job, "evaluation": evaluation})),
            *("--model-config", config.as_json(), "--adapter", str(folder / "adapter")),
            *("--out", str(folder / "side_by_side.parquet")),
        ]
    )
    rows = list(tables.rows(folder / "side_by_side.parquet", "side_by_side"))
    return {"folder": folder, "model": model, "evaluation": evaluation, "rows": rows}


def save_adapter(model: Path, folder: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    network = AutoModelForCausalLM.from_pretrained(model)
    adapted = get_peft_model(network, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    adapted.save_pretrained(folder)


def plain_logprobs(run: dict[str, Any], row: dict[str, Any], adapted: bool) -> np.ndarray:
    """Log-probs [positions, vocabulary] of a completion, from the whole model's logits."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(run["model"], dtype=torch.float64)
    if adapted:
        network = PeftModel.from_pretrained(network, run["folder"] / "adapter").merge_and_unload()
    ids = torch.tensor([row["prompt_token_ids"] + row["token_ids"]])
    with torch.inference_mode():
        logits = network(ids).logits[0, len(row["prompt_token_ids"]) - 1 : -1]
    return logits.double().log_softmax(-1).numpy()


def test_both_models_are_read_at_the_bases_likeliest_tokens(run: dict[str, Any]) -> None:
    paths = run["evaluation"]["reasonmaxxer"]["chains"]
    completion = next(r for r in tables.rows(paths[0], "evaluation") if r["sample"] == 0)
    rows = [
        r
        for r in run["rows"]
        if (r["arm"], r["problem_id"]) == ("reasonmaxxer", completion["problem_id"])
    ]
    assert [r["token_id"] for r in rows] == completion["token_ids"]
    base, trained = (plain_logprobs(run, completion, adapted) for adapted in (False, True))
    assert np.abs(base - trained).max() > 0.01
    for at, row in enumerate(rows):
        entropy = {m: -(np.exp(p[at]) * p[at]).sum() for m, p in (("b", base), ("t", trained))}
        assert row["entropy"] == pytest.approx(entropy["b"], abs=1e-4)
        assert row["trained_entropy"] == pytest.approx(entropy["t"], abs=1e-4)
        assert row["trained_logprob"] == pytest.approx(trained[at, row["token_id"]], abs=1e-4)
        likeliest = np.argsort(-base[at])[:5]
        assert row["top_ids"] == likeliest.tolist()
        assert row["top_logprobs"] == pytest.approx(base[at, likeliest], abs=1e-4)
        assert row["trained_top_logprobs"] == pytest.approx(trained[at, likeliest], abs=1e-4)


def test_the_same_problems_are_read_for_both_arms(run: dict[str, Any]) -> None:
    read = {arm: {r["problem_id"] for r in run["rows"] if r["arm"] == arm} for arm in ARMS}
    assert read["base"] == read["reasonmaxxer"]
    assert len(read["base"]) == 12
