"""One start of an engine samples several files, each as if it were sampled alone."""

import argparse
import json

import pytest
import reference
import torch
from safetensors.torch import save_file
from test_prompts import byte_tokenizer

from reasonmaxxer import tables
from reasonmaxxer.config import ModelConfig, TrainingConfig
from reasonmaxxer.modeling.base_model import load_base, pack_adapter
from reasonmaxxer.modeling.lora import Adapter
from reasonmaxxer.stages import evaluation, rollouts
from reasonmaxxer.verifier.extraction.transcript import opens_thinking

TRAINING = TrainingConfig(rank=4, alpha=64)
TEMPLATES = {"plain": "Problem: {problem}\n", "thinking": "Problem: {problem}\n<think>\n"}


@pytest.fixture
def sample(tmp_path):
    """Sample two blocks by the command, with some adapters; rows of each file, and its record."""
    tokenizer = byte_tokenizer(chat=None)
    folder = reference.save_tiny(tmp_path / "model", vocab_size=len(tokenizer))
    tokenizer.save_pretrained(folder)
    model = ModelConfig(path=str(folder), dtype="float32", max_length=64)
    torch.manual_seed(1)
    trained = Adapter(load_base(model.path, model).model, TRAINING)
    weights = {name: torch.randn_like(weight) for name, weight in trained.tensors().items()}
    save_file(weights, tmp_path / "weights.safetensors", metadata={"format": "pt"})
    pack_adapter(tmp_path / "adapter", tmp_path / "weights.safetensors", model, TRAINING)
    for name, text in TEMPLATES.items():
        (tmp_path / name).write_text(text)
    problem = {"problem": "1 + 1?", "answer": "2", "source": "s", "level": None}
    rows = [{"problem_id": name, **problem} for name in "pq"]
    tables.write(tmp_path / "problems.parquet", "problems", rows)

    def run(stage, adapters, blocks):
        """Blocks are pairs of a template and the number of samples."""
        names = [f"{place}.parquet" for place in range(len(adapters) * len(blocks))]
        told = {
            "problems": [str(tmp_path / "problems.parquet")] * len(blocks),
            "prompt": [json.dumps({"template": str(tmp_path / name)}) for name, _ in blocks],
            "job": [
                json.dumps({"engine": "transformers", "max_tokens": 6, "samples": samples})
                for _, samples in blocks
            ],
            "model-config": [model.as_json()],
            "adapter": [str(tmp_path / name) if name else "none" for name in adapters],
            "out": [str(tmp_path / name) for name in names],
        }
        parser = argparse.ArgumentParser()
        stage.add_arguments(parser)
        given = [text for key, values in told.items() for text in (f"--{key}", *values)]
        stage.main(parser.parse_args(given))
        paths = [tmp_path / name for name in names]
        return [
            (tables.read(path, "rollouts").to_pylist(), tables.provenance_of(path, "rollouts"))
            for path in paths
        ]

    return run


def test_several_files_are_those_that_each_would_be_alone(sample):
    blocks = [("plain", 3), ("thinking", 2)]
    together = sample(evaluation, [None, "adapter"], blocks)
    assert [len(rows) for rows, _ in together] == [6, 4, 6, 4]
    for adapter, place in ((None, 0), ("adapter", 2)):
        for number, block in enumerate(blocks):
            assert sample(evaluation, [adapter], [block]) == [together[place + number]]
    assert together[0][0] != together[2][0]


def test_a_table_says_how_its_prompts_end_so_that_the_judge_sees_open_thinking(sample):
    (_, plain), (_, thinking) = sample(rollouts, [None], [("plain", 1), ("thinking", 1)])
    assert not opens_thinking(plain["prompt_end"])
    assert opens_thinking(thinking["prompt_end"])


def test_only_rollouts_have_the_engines_log_probs(sample):
    ((sampled, _),) = sample(rollouts, [None], [("plain", 2)])
    ((evaluated, _),) = sample(evaluation, [None], [("plain", 2)])
    assert all(len(row["logprobs"]) == len(row["token_ids"]) > 0 for row in sampled)
    assert [row.pop("logprobs") for row in evaluated] == [[]] * 4
    assert [{**row, "logprobs": None} for row in sampled] == [
        {**row, "logprobs": None} for row in evaluated
    ]
