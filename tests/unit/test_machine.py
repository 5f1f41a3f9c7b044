"""What this machine has against what a config asks for."""

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_estimate import SHAPES

from reasonmaxxer import config
from reasonmaxxer.errors import UserError
from reasonmaxxer.graph import machine
from reasonmaxxer.graph.estimate import disk_gb, estimate

ROOT = Path(__file__).parents[2]
PRESET = "qwen2.5-1.5b"


@pytest.fixture
def run(tmp_path):
    """The preset, with so little memory asked for that any machine has it."""
    little = "{mem_mb: 100}"
    stages = ("generation", "verdicts", "entropies", "training", "cpu")
    path = tmp_path / "little.yaml"
    path.write_text(f"resources: {{{', '.join(f'{stage}: {little}' for stage in stages)}}}\n")
    return config.load([ROOT / "config" / f"{PRESET}.yaml", path])


# nvidia-smi of a machine with the GPUs 0, 1, ...: one word a line, of those behind -i or of all.
NVIDIA_SMI = """#!{python}
import sys
said = {said}
field, which = sys.argv[1].removeprefix("--query-gpu="), sys.argv[3:]
numbers = which[1].split(",") if which else said[field]
print("\\n".join(said[field][number] for number in numbers))
"""


def driver(folder, monkeypatch, *gigabytes, **fields):
    """A machine whose driver lists GPUs of these sizes (a word stands for itself)."""
    sizes = [x if isinstance(x, str) else str(round(x * 1e9 / 2**20)) for x in gigabytes]
    fields = {"index": range(len(sizes)), "memory.total": sizes, **fields}
    said = {name: {str(i): str(x) for i, x in enumerate(words)} for name, words in fields.items()}
    command = folder / "nvidia-smi"
    command.write_text(NVIDIA_SMI.format(python=sys.executable, said=said))
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


@pytest.mark.parametrize(("gpus", "stages"), [(1, 3), (2, 2)])
def test_weights_larger_than_a_card_are_an_error_whatever_the_estimate(
    run, tmp_path, monkeypatch, gpus, stages
):
    """An engine shares them out; scorer and trainer hold a whole model in each process."""
    shape = SHAPES["qwen2.5-7b"][0]
    generation = run.resources.generation.model_copy(update={"gpu": gpus, "tensor_parallel": gpus})
    resources = run.resources.model_copy(update={"generation": generation})
    driver(tmp_path, monkeypatch, 14, 14)
    with pytest.raises(UserError) as error:
        machine.check(run.model_copy(update={"resources": resources}), shape)
    lines = [line for line in str(error.value).splitlines() if "the weights of" in line]
    assert len(lines) == stages
    assert all("alone take 15 GB" in line and "larger GPUs" in line for line in lines)
    assert ("raise gpu and tensor_parallel" in lines[0]) == (gpus == 1)


def test_batches_that_would_fit_are_named(run, tmp_path, monkeypatch):
    shape = SHAPES["qwen2.5-7b"][0]
    driver(tmp_path, monkeypatch, 27)
    line = machine.check(run, shape)[-1]
    assert line.startswith("resources.training: GPU memory: 27.0 GB here, about 29.7 GB")
    assert "set resources.training.batch_tokens: 8192" in line


def test_a_machine_of_16_gib_has_the_16000_mb_that_a_job_asks_for(run, monkeypatch):
    """The kernel keeps some for itself: what is left of 16 GiB is less than 16,000 MiB."""
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 16_374_584 // 4}
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    monkeypatch.setattr(machine, "CGROUP_LIMIT", Path("/nowhere"))
    assert machine.memory_mb() == 16_767


def test_gpus_that_the_run_may_not_use_do_not_count(run, tmp_path, monkeypatch):
    shape = SHAPES[PRESET][0]
    driver(tmp_path, monkeypatch, 4, 80, 40)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2,1")
    assert machine.check(run, shape) == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    with pytest.raises(UserError, match=r"GPU memory: 4\.0 GB here"):
        machine.check(run, shape)


def test_a_gpu_whose_memory_the_driver_does_not_know_is_taken(run, tmp_path, monkeypatch):
    driver(tmp_path, monkeypatch, "[N/A]", "[Not Supported]")
    assert machine.check(run, SHAPES[PRESET][0]) == []


def test_every_model_of_the_hub_needs_its_place_in_the_cache(run, tmp_path, monkeypatch):
    shape = SHAPES[PRESET][0]
    driver(tmp_path, monkeypatch, 80)
    models = {run.model.path, *(arm.model.path for arm in run.arms.values() if arm.model)}
    assert len(models) > 1
    needed = 2 * len(models) * shape.parameters / 1e9 + disk_gb(run, shape)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    free = int(0.9 * needed * 1e9)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    monkeypatch.chdir(tmp_path)
    assert [line.split(",")[0] for line in machine.check(run, shape)] == [
        f"disk: {free / 1e9:.1f} GB here"
    ]
    # A model that is there already needs no more place.
    blobs = tmp_path / f"models--{run.model.path.replace('/', '--')}" / "blobs"
    blobs.mkdir(parents=True)
    with (blobs / "weights").open("wb") as file:
        file.truncate(2 * shape.parameters)  # takes no place itself
    assert machine.check(run, shape) == []


def test_bfloat16_on_a_gpu_before_ampere_is_an_error(run, tmp_path, monkeypatch):
    driver(tmp_path, monkeypatch, 80, 80, compute_cap=["8.9", "7.5"])
    message = r"^model\.dtype: bfloat16 needs .* capability 8\.0 .* 7\.5; set it to float32"
    with pytest.raises(UserError, match=message):
        machine.check(run, None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert machine.check(run, None) == []


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
        with pytest.raises(UserError, match=r"^resources\.generation\.gpu: 0, .* for CPUs"):
            machine.check(run, None)


def test_trackers_that_are_not_installed_stop_a_run_before_its_first_job(run, monkeypatch):
    training = run.resources.training.model_copy(update={"report_to": ["tensorboard", "trackio"]})
    resources = run.resources.model_copy(update={"training": training})
    asked = run.model_copy(update={"resources": resources})
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "trackio" else found("os")
    )
    with pytest.raises(UserError, match="report_to: trackio: is not installed; pip") as error:
        machine.check(asked, None)
    assert "tensorboard" not in str(error.value)
