"""What this machine has against what a config asks for."""

import os
from pathlib import Path

import pytest
from test_estimate import SHAPES

from reasonmaxxer import config, machine
from reasonmaxxer.errors import UserError
from reasonmaxxer.estimate import estimate

ROOT = Path(__file__).parents[2]
PRESET = "qwen2.5-1.5b"


@pytest.fixture
def run(tmp_path):
    """The preset, with so little memory asked for that any machine has it."""
    little = "{mem_mb: 100}"
    stages = ("generation", "verdicts", "entropies", "training", "light")
    path = tmp_path / "little.yaml"
    path.write_text(f"resources: {{{', '.join(f'{stage}: {little}' for stage in stages)}}}\n")
    return config.load([ROOT / "config" / f"{PRESET}.yaml", path])


def driver(folder, monkeypatch, gigabytes):
    """A machine whose driver lists one GPU of this size."""
    command = folder / "nvidia-smi"
    mib = round(gigabytes * 1e9 / 2**20)
    command.write_text(f'#!/bin/sh\ncase "$1" in *index*) echo 0;; *) echo {mib};; esac\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_gpu_as_large_as_the_estimate_is_enough(run, tmp_path, monkeypatch):
    shape = SHAPES[PRESET][0]
    wants = estimate(run, shape)
    driver(tmp_path, monkeypatch, 1.01 * max(wants.generation_gb, wants.training_gb))
    assert machine.check(run, shape) == []


def test_a_gpu_somewhat_smaller_is_warned_of(run, tmp_path, monkeypatch):
    shape = SHAPES[PRESET][0]
    driver(tmp_path, monkeypatch, 0.8 * estimate(run, shape).training_gb)
    warnings = machine.check(run, shape)
    assert any("resources.training: GPU memory" in line for line in warnings)


def test_a_gpu_of_less_than_half_the_estimate_is_an_error(run, tmp_path, monkeypatch):
    shape = SHAPES[PRESET][0]
    driver(tmp_path, monkeypatch, 0.4 * estimate(run, shape).generation_gb)
    with pytest.raises(UserError, match=r"resources.generation: GPU memory: .* larger GPUs"):
        machine.check(run, shape)


def test_a_machine_without_a_gpu_cannot_run_the_preset(run, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UserError, match=r"resources\.generation\.gpu: 1 GPUs are asked for"):
        machine.check(run, SHAPES[PRESET][0])


@pytest.mark.parametrize(("installed", "fits"), [("0.32.0", False), ("0.32.0+cpu", True)])
def test_a_vllm_for_gpus_is_not_asked_to_run_on_the_cpu(tmp_path, monkeypatch, installed, fits):
    package = tmp_path / f"vllm-{installed}.dist-info"
    package.mkdir()
    (package / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {installed}\n")
    monkeypatch.syspath_prepend(tmp_path)
    run = config.load([ROOT / "config" / "test.yaml"])
    if fits:
        assert machine.check(run, None) == []
    else:
        with pytest.raises(UserError, match=r"^resources\.generation\.gpu: 0, but the vLLM .* CPUs"):
            machine.check(run, None)
