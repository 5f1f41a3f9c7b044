"""Asking for a GPU leaves a process able to fork, which is how vLLM starts its own processes.

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


def printed(program):
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(WORKFLOW)}
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
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
