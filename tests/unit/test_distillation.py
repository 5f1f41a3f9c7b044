"""Distillation: Eq. 4 and its gradients equal the reference; it comes near the teacher."""

import argparse
import json
from pathlib import Path

import pytest
import reference
import torch
from rollout_rows import random_rollouts
from safetensors.torch import load_file

from reasonmaxxer import tables
from reasonmaxxer.config import DistillationConfig, ModelConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.modeling.base_model import load_base
from reasonmaxxer.stages import distillation
from reasonmaxxer.training import trainer
from reasonmaxxer.training.lr_schedule import checkpoint_steps, of_distillation

K = 6
QUICK = {"rank": 4, "top_k": K, "batch_size": 4, "learning_rate": 0.01, "dropout": 0.0}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[ModelConfig, ModelConfig]:
    """Two random models: the base, and one that differs from it a little, the teacher."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("models")
    base = reference.save_tiny(folder / "base")
    teacher = AutoModelForCausalLM.from_pretrained(base)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in teacher.model.layers:
            weight = layer.self_attn.o_proj.weight
            weight += 0.2 * torch.randn(weight.shape, generator=generator)
    teacher.save_pretrained(folder / "teacher")
    names = [str(base), str(folder / "teacher")]
    return tuple(ModelConfig(path=name, dtype="float32") for name in names)


@pytest.fixture(scope="module")
def rollouts(tmp_path_factory) -> Path:
    rows = random_rollouts([(2 + index % 3, 3 + index) for index in range(8)], seed=2)
    path = tmp_path_factory.mktemp("rollouts") / "rollouts.parquet"
    tables.write(path, "rollouts", rows)
    return path


def _run(folder: Path, models, rollouts, adapter=None, **changes):
    base, teacher = models
    config = DistillationConfig(**(QUICK | {"epochs": 4} | changes))
    distillation.run(
        rollouts=rollouts,
        teacher=base if adapter else teacher,
        adapter=adapter,
        model=base,
        config=config,
        out=folder / "adapter",
        out_log=folder / "log.parquet",
        record=folder / "record.json",
        scratch=folder / "scratch",
        batch_tokens=64,
    )
    return tables.read(folder / "log.parquet", "training").to_pylist()


def test_loss_and_gradients_equal_the_reference(models, rollouts):
    base, teacher = models
    sequences = distillation.read_sequences(rollouts)
    config = DistillationConfig(**QUICK)
    distiller = distillation.Distiller(
        load_base(base.path, base), sequences, of_distillation(config, len(sequences))
    )
    distiller.targets = distillation.teacher_distributions(teacher, None, sequences, K, 64)
    generator = torch.Generator().manual_seed(3)
    for parameter in distiller.parameters.values():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    found = distiller.accumulate(range(len(sequences)), 64).means(len(sequences))

    adapter = reference.Adapter.from_peft(distiller.adapter.tensors(), scale=2.0)
    student, master = reference.load(Path(base.path)), reference.load(Path(teacher.path))
    means = []
    for sequence in sequences:
        ids = sequence.ids.tolist()
        theirs = reference.logits(master, ids)
        ours = reference.logits(student, ids, adapter)
        terms = []
        for t in range(sequence.prompt_length, len(ids)):
            p, q = reference.probabilities(theirs[t - 1]), reference.probabilities(ours[t - 1])
            best = p.argsort(descending=True)[:K]
            share = p[best] / p[best].sum()
            terms.append((share * (share.log() - q[best].log())).sum())
        means.append(sum(terms) / len(terms))
    expected = sum(means) / len(means)
    expected.backward()

    assert found["loss"] == pytest.approx(expected.item(), rel=1e-4)
    gradients = adapter.gradients()
    for name, parameter in distiller.parameters.items():
        exact = gradients[name.replace(".default", "")]
        assert (parameter.grad.double() - exact).norm() < 1e-4 * exact.norm() + 1e-9, name


def test_a_student_comes_near_its_teacher(tmp_path, models, rollouts):
    log = _run(tmp_path, models, rollouts, epochs=30)
    assert log[-1]["loss"] < 0.6 * log[0]["loss"]
    assert [row["anchor_loss"] for row in log] == [0.0] * len(log)


def test_an_arm_with_an_adapter_can_teach(tmp_path, models, rollouts):
    _run(tmp_path / "first", models, rollouts, epochs=30)
    sequences = distillation.read_sequences(rollouts)
    base, adapter = models[0], tmp_path / "first" / "adapter"
    taught = distillation.teacher_distributions(base, adapter, sequences, K, 64)
    alone = distillation.teacher_distributions(base, None, sequences, K, 64)
    assert not torch.allclose(taught[0][1], alone[0][1], atol=1e-2)
    log = _run(tmp_path / "second", models, rollouts, adapter=adapter, epochs=30)
    assert log[-1]["loss"] < 0.6 * log[0]["loss"]


def test_the_record_says_how_small_the_adapter_is(tmp_path, models, rollouts):
    _run(tmp_path, models, rollouts, rank=1, target_modules=["o_proj"])
    record = json.loads((tmp_path / "record.json").read_text())
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    weights = load_file(Path(models[0].path) / "model.safetensors")
    own = sum(tensor.numel() for tensor in tensors.values())
    assert own == 2 * (32 + 32)  # two layers, rank 1: 32 inputs and 32 outputs each
    assert record["parameters"] == own
    assert record["share"] == pytest.approx(own / sum(t.numel() for t in weights.values()))
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"], settings["target_modules"]) == (1, 2, ["o_proj"])


def test_a_distilled_adapter_has_a_card_that_says_whose_it_is(tmp_path, models, rollouts):
    base, teacher = models
    told = {
        **{"rollouts": rollouts, "teacher": teacher.as_json(), "model-config": base.as_json()},
        **{"config": DistillationConfig(**QUICK, epochs=1).as_json(), "batch-tokens": 64},
        **{"out": tmp_path / "kl", "summary": tmp_path / "kl/distillation.json"},
        **{"out-log": tmp_path / "log.parquet", "scratch": tmp_path / "scratch"},
        **{"arm": "kl", "description": "distilled from the arm rl"},
    }
    parser = argparse.ArgumentParser()
    distillation.add_arguments(parser)
    given = [text for key, value in told.items() for text in (f"--{key}", str(value))]
    distillation.main(parser.parse_args(given))
    card = (tmp_path / "kl/README.md").read_text()
    assert "LoRA of rank 4 (alpha 8) on q_proj, k_proj, v_proj, o_proj, distilled from the" in card
    assert "learnt from 8 rollouts of the teacher" in card
    assert f"An adapter made from {base.path}" in card


def test_the_schedule_is_the_papers():
    """100 rollouts, 3 epochs, batch 2 x 8, 10% of warm-up, alpha = 2r."""
    training_ = of_distillation(DistillationConfig(), 100)
    assert checkpoint_steps(training_) == [19]
    assert (training_.warmup_steps, training_.alpha) == (2, 64)
    assert (training_.learning_rate, training_.weight_decay, training_.dropout) == (
        1e-4,
        0.01,
        0.05,
    )


def test_a_killed_run_resumes_to_the_same_bits(tmp_path, models, rollouts, monkeypatch):
    _run(tmp_path / "whole", models, rollouts, dropout=0.1)
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0.0)
    step, taken = trainer.Trainer.step, []

    def killed_at_the_fifth(self, indices, number, *rest):
        taken.append(number)
        if len(taken) == 5:
            raise KeyboardInterrupt
        return step(self, indices, number, *rest)

    monkeypatch.setattr(trainer.Trainer, "step", killed_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "killed", models, rollouts, dropout=0.1)
    _run(tmp_path / "killed", models, rollouts, dropout=0.1)
    assert taken == [1, 2, 3, 4, 5, 5, 6, 7, 8]
    name = "adapter/adapter_model.safetensors"
    assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
    assert not list((tmp_path / "killed" / "scratch").iterdir())


def test_a_target_that_the_model_lacks_is_named_with_its_key(tmp_path, models, rollouts):
    with pytest.raises(UserError, match=r"distillation\.target_modules: qkv: .*it has .*q_proj"):
        _run(tmp_path, models, rollouts, target_modules=["qkv"])


def test_no_rollouts_are_an_error(tmp_path):
    tables.write(tmp_path / "none.parquet", "rollouts", [])
    with pytest.raises(UserError, match="no rollouts to distil"):
        distillation.read_sequences(tmp_path / "none.parquet")
