"""The choice among checkpoints: best on validation, none that has collapsed."""

import argparse
import json
import re
import tempfile

import numpy as np
import pytest
import reference
import torch
from safetensors.torch import save_file
from test_prompts import byte_tokenizer

from reasonmaxxer import tables
from reasonmaxxer.config import ModelConfig, TrainingConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.modeling.base_model import load_base
from reasonmaxxer.modeling.lora import Adapter
from reasonmaxxer.stages import checkpoint as adapter
from reasonmaxxer.stages.checkpoint import choose

C, W, U, T = "correct", "incorrect", "unparseable", "timeout"
BASE = [[C, W], [W, W], [W, W], [W, W]]


@pytest.mark.parametrize(
    ("checkpoints", "chosen", "collapsed"),
    [
        ([[[C, W]] * 4, [[C, C]] * 4, [[C, C], [C, W], [C, W], [C, W]]], 2, [False] * 3),
        ([[[C, W]] * 4, [[W, C]] * 4], 1, [False] * 2),  # a tie: the earlier one
        # half of the base's answers parse is still enough, less is not, whatever is right
        ([[[C, U]] * 4, [[C, C], [C, U], [U, U], [U, U]]], 1, [False, True]),
        ([[[W, W]] * 4, [[C, T], [C, T], [C, T], [T, T]]], 1, [False, True]),
    ],
    ids=["best", "tie", "unparseable", "timeout"],
)
def test_the_best_checkpoint_that_has_not_collapsed_is_chosen(checkpoints, chosen, collapsed):
    found, rows = choose(dict(enumerate([BASE, *checkpoints])), min_parseable=0.5)
    assert found == chosen
    assert [row["collapsed"] for row in rows] == [False, *collapsed]


@pytest.mark.parametrize("samples", [3, 5, 10])
def test_of_equally_good_checkpoints_the_earliest_is_chosen_whatever_floats_say(samples):
    rng = np.random.default_rng(samples)
    apart = 0
    for _ in range(50):
        right = rng.integers(1, samples, size=40)
        problems = [[C] * n + [W] * (samples - n) for n in right]
        other = [problems[place] for place in rng.permutation(40)]
        found, rows = choose({0: BASE, 1: problems, 2: other}, min_parseable=0.5)
        assert found == 1
        assert rows[1]["pass_rate"] == rows[2]["pass_rate"]
        sums = [sum(p.count(C) / samples for p in checkpoint) for checkpoint in (problems, other)]
        apart += sums[0] != sums[1]
    assert apart > 5  # as sums of floats many would be unequal


def test_each_checkpoint_has_its_pass_rate_and_its_interval_over_problems():
    _, rows = choose({0: BASE, 1: [[C, C], [C, W], [W, W], [W, W]]}, min_parseable=0.5)
    assert [row["pass_rate"] for row in rows] == [0.125, 0.375]
    assert all(0 <= row["low"] < row["pass_rate"] < row["high"] <= 1 for row in rows)


def test_a_control_whose_every_checkpoint_has_collapsed_keeps_the_best_of_them():
    lost = [[[U, U]] * 4, [[C, U], [U, U], [U, U], [U, U]], [[C, U], [U, U], [U, U], [U, U]]]
    chosen, rows = choose(dict(enumerate([BASE, *lost])), 0.5, keep_collapsed=True)
    assert chosen == 2
    assert [row["collapsed"] for row in rows] == [False, True, True, True]


def test_a_sound_checkpoint_goes_before_a_better_one_that_has_collapsed():
    found = {0: BASE, 1: [[W, W]] * 4, 2: [[C, U], [C, U], [U, U], [U, U]]}
    assert choose(found, min_parseable=0.5, keep_collapsed=True)[0] == 1


def test_when_every_checkpoint_has_collapsed_the_base_is_the_last_good_state():
    with pytest.raises(
        UserError,
        match=r"every checkpoint has collapsed.* from 1\.00 to at most 0\.25; the last good state "
        r"is the base itself\. Lower training\.learning_rate",
    ):
        choose({0: BASE, 1: [[U, U]] * 4, 2: [[C, U], [C, T], [U, U], [U, U]]}, min_parseable=0.5)


TRAINING = TrainingConfig(rank=4, sequences=16, warmup_steps=0, checkpoints=2)


@pytest.fixture
def command(tmp_path):
    """Choose among two checkpoints of a tiny model by the command; returns the folder made."""
    tokenizer = byte_tokenizer(chat=None)
    folder = reference.save_tiny(tmp_path / "model", vocab_size=len(tokenizer))
    tokenizer.save_pretrained(folder)
    model = ModelConfig(path=str(folder), dtype="float32", max_length=64)
    names = [tmp_path / f"checkpoint-{number}.safetensors" for number in (1, 2)]
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        trained = Adapter(load_base(model.path, model).model, TRAINING)
        save_file(trained.tensors(), name, metadata={"format": "pt"})
    problem = {"problem_id": "p", "problem": "1 + 1?", "answer": "2", "source": "s", "level": None}
    tables.write(tmp_path / "problems.parquet", "problems", [problem])
    (tmp_path / "template.txt").write_text("{problem}\n")

    def run(arm, *flags):
        out = tmp_path / "adapters" / arm
        job = {"engine": "transformers", "max_tokens": 4, "temperature": 0.0}
        told = {
            **{
                "problems": tmp_path / "problems.parquet",
                "model-config": model.as_json(),
                "training": TRAINING.as_json(),
            },
            **{"prompt": json.dumps({"template": str(tmp_path / "template.txt")})},
            **{"job": json.dumps(job), "config": "{}", "verdicts": "{}", "arm": arm},
            **{
                "out": out,
                "table": out / "validation.parquet",
                "summary": out / "checkpoint.json",
            },
        }
        parser = argparse.ArgumentParser()
        adapter.add_arguments(parser)
        given = [text for key, value in told.items() for text in (f"--{key}", str(value))]
        args = parser.parse_args([*given, "--checkpoints", *map(str, names), *flags])
        adapter.main(args)
        return out

    return run


def test_checkpoints_are_unpacked_beside_the_result_and_never_in_tmp(
    command, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no-such-folder"))
    left = tmp_path / "adapters/ours/checkpoints/7"  # by a run that was killed
    left.mkdir(parents=True)
    out = command("ours", "--description", "made")
    assert {path.name for path in out.iterdir()} == {
        *("adapter_model.safetensors", "adapter_config.json", "README.md"),
        *("validation.parquet", "checkpoint.json"),
    }


def test_a_sweeps_adapter_is_served_by_the_line_on_its_card(command):
    card = (command("ours+tau=0.6", "--description", "trained so") / "README.md").read_text()
    assert "(alpha 64) on q_proj, k_proj, v_proj, o_proj, trained so." in card
    assert (
        card.startswith("---\nlibrary_name: peft\n") and "\npipeline_tag: text-generation\n" in card
    )
    (line,) = re.findall(r"vllm serve .*\n.*", card)
    # vLLM reads name=folder up to the first =, and takes none but certain ranks.
    name, _, folder = line.split("--lora-modules ")[1].partition("=")
    assert (name, folder) == ("ours+tau-0.6", "<this folder>")
    assert "--max-lora-rank 8 " in line
    assert 'AutoPeftModelForCausalLM.from_pretrained("<this folder>")' in card
