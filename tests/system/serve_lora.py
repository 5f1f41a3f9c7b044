"""Serve MODEL with the LoRA in ADAPTER, unmerged, as `vllm serve --enable-lora` does.

    serve_lora.py MODEL ADAPTER < token ids of prompts, JSON

Prints greedy completions as JSON: [[ids, log-probs], ...]. A process of its own: one engine each.
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
}

from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest

model, adapter = sys.argv[1:]
engine = LLM(
    model=model,
    dtype="float32",
    max_model_len=128,
    enable_lora=True,
    max_lora_rank=json.loads(Path(adapter, "adapter_config.json").read_text())["r"],
    distributed_executor_backend="uni",
    enforce_eager=True,
    kv_cache_memory_bytes=64 << 20,
)
outputs = engine.generate(
    [{"prompt_token_ids": ids} for ids in json.load(sys.stdin)],
    SamplingParams(temperature=0, max_tokens=12, logprobs=0, ignore_eos=True),
    lora_request=LoRARequest("arm", 1, adapter),
)
answers = []
for output in outputs:
    ids, steps = list(output.outputs[0].token_ids), output.outputs[0].logprobs
    answers.append([ids, [step[token].logprob for step, token in zip(steps, ids, strict=True)]])
print(json.dumps(answers))
