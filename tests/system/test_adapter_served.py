"""An adapter folder as the workflow writes it, served by the real engine as LoRA, unmerged."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from reasonmaxxer.config import ModelConfig, TrainingConfig
from reasonmaxxer.modeling.base_model import load_base, pack_adapter
from reasonmaxxer.modeling.lora import Adapter

MODEL = Path(__file__).parents[2] / "data" / "lab" / "model"
PROMPTS = [[5, 9, 14, 7], [30, 8, 61, 12, 44, 19]]


@pytest.fixture
def folder(tmp_path) -> Path:
    """An adapter that says something else than the base, through the trainer's own layers."""
    model, config = ModelConfig(path=str(MODEL), dtype="float32"), TrainingConfig(rank=8, alpha=16)
    adapter = Adapter(load_base(model.path, model).model, config)
    for name, parameter in adapter.parameters().items():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    save_file(adapter.tensors(), tmp_path / "weights.safetensors", metadata={"format": "pt"})
    pack_adapter(tmp_path / "adapter", tmp_path / "weights.safetensors", model, config)
    return tmp_path / "adapter"


@torch.no_grad()
def _logprobs(model, prompt: list[int], completion: list[int]) -> list[float]:
    ids = torch.tensor([prompt + completion])
    rows = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return rows.gather(1, torch.tensor(completion)[:, None])[:, 0].tolist()


def test_peft_and_vllm_load_the_folder_unchanged_and_agree(folder, monkeypatch):
    for name, value in {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "TORCHDYNAMO_DISABLE": "1",
    }.items():
        monkeypatch.setenv(name, value)
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    engine = LLM(
        model=str(MODEL),
        dtype="float32",
        max_model_len=256,
        enable_lora=True,
        max_lora_rank=8,
        distributed_executor_backend="uni",
        enforce_eager=True,
        kv_cache_memory_bytes=64 << 20,
    )
    outputs = engine.generate(
        [{"prompt_token_ids": prompt} for prompt in PROMPTS],
        SamplingParams(temperature=0, max_tokens=12, logprobs=0, ignore_eos=True),
        lora_request=LoRARequest("arm", 1, str(folder)),
    )
    adapted = AutoPeftModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    base = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    for prompt, output in zip(PROMPTS, outputs, strict=True):
        ids = list(output.outputs[0].token_ids)
        steps = output.outputs[0].logprobs
        served = [step[token].logprob for step, token in zip(steps, ids, strict=True)]
        assert served == pytest.approx(_logprobs(adapted, prompt, ids), abs=2e-3)
        assert (
            max(abs(a - b) for a, b in zip(served, _logprobs(base, prompt, ids), strict=True))
            > 0.05
        )
