"""A process can fork after it has asked for a GPU, as vLLM does, and keeps the memory it frees.

PyTorch's CPU build never asks CUDA, so what a CUDA build does is shown by its own deciding code
in a process of its own, with the two questions it can put to a machine replaced.
"""

import subprocess
import sys
from pathlib import Path

WORKFLOW = Path(__file__).parents[2] / "workflow"

WATCH = """
import os, sys

class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            print("when torch is imported:", os.environ.get("PYTORCH_NVML_BASED_CUDA_CHECK"))

sys.meta_path.insert(0, Watch())
from reasonmaxxer.__main__ import main
assert "torch" not in sys.modules
try:
    main(["entropies", "--help"])
except SystemExit:
    pass
"""

CUDA_BUILD = """
import torch

def poison():
    print("CUDA was asked")
    return 1

torch._C._cuda_getDeviceCount = poison
torch.cuda._device_count_nvml = lambda: 1
print("there is a GPU:", torch.cuda.is_available())
"""

FORWARD_PASSES = """
import resource, torch
from reasonmaxxer.config import ModelConfig
from reasonmaxxer.modeling.base_model import load_base

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

lab = "data/lab/model"
base = load_base(lab, ModelConfig(path=lab, dtype="float32"))
ids = base.pack([[5] * 76] * 26)
with torch.inference_mode():
    for _ in range(3):
        base.hidden(ids)
    before = faults()
    for _ in range(10):
        base.hidden(ids)
print((faults() - before) * resource.getpagesize() / 2**20)
"""


def printed(program, **variables):
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(WORKFLOW)} | variables
    command = [sys.executable, "-c", program]
    answer = subprocess.run(
        command, env=environment, cwd=WORKFLOW.parent, capture_output=True, text=True, check=True
    )
    return answer.stdout.splitlines()


def test_a_command_lets_pytorch_ask_for_gpus_without_cuda_before_it_imports_pytorch():
    assert printed(WATCH)[0] == "when torch is imported: 1"


def test_whether_there_is_a_gpu_is_asked_in_one_place():
    asking = [
        path.name
        for path in (WORKFLOW / "reasonmaxxer").rglob("*.py")
        if "cuda.is_available" in path.read_text()
    ]
    assert asking == ["device.py"]


def test_a_cuda_build_asked_from_a_command_can_still_fork():
    assert printed(CUDA_BUILD)[-2:] == ["CUDA was asked", "there is a GPU: True"]
    assert printed(WATCH + CUDA_BUILD)[-1] == "there is a GPU: True"
    assert "CUDA was asked" not in printed(WATCH + CUDA_BUILD)


def test_a_model_uses_the_memory_again_that_it_has_freed():
    megabytes = [
        float(printed(FORWARD_PASSES, REASONMAXXER_CPU_KERNELS=value)[-1]) for value in "01"
    ]
    assert megabytes[1] < 0.2 * megabytes[0]
