"""Generation: vLLM, or transformers where no vLLM wheel exists, behind one function.

Prompts go in and completions come out as token ids; text is decoded from the ids, never the
other way. An engine runs one set of weights at a time: the base, or the base with an adapter.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from ..config import ModelConfig, PromptConfig
from ..modeling.device import on_gpu
from ..tables.artefacts import (
    ADAPTER_WEIGHTS,
    check_adapter,
    check_made_model,
    is_whole,
    served_rank,
)
from .prompts import eos_token_ids, load_tokenizer, stop_ids, trim_stop

if TYPE_CHECKING:
    import torch

# Seeds of neighbouring problems are this far apart, since sample i of a problem uses seed + i.
SEED_SPACING = 1 << 20


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn: samples `first` .. `first + count - 1` of every problem."""

    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    count: int
    first: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hardware:
    """Where an engine runs; results do not depend on it beyond floating-point noise."""

    threads: int = 1
    kv_cache_mb: int = 1000
    gpu_memory_utilization: float = 0.9
    tensor_parallel: int = 1
    pipeline_parallel: int = 1


@dataclass(frozen=True)
class Prompt:
    """What is continued; `max_tokens` is its own limit where it has used up part of its room."""

    problem_id: str
    token_ids: list[int]
    max_tokens: int | None = None


class Completion(TypedDict):
    """A sampled completion, as a row of the table `rollouts`."""

    problem_id: str
    sample: int
    seed: int
    prompt_token_ids: list[int]
    token_ids: list[int]  # up to the stop string, the end-of-sequence id included
    logprobs: list[float]  # nats, before temperature and top-p
    finish_reason: str  # "stop" or "length"
    text: str


class Engine(Protocol):
    """What samples completions: one set of weights at a time."""

    def use(self, adapter: Path | None) -> None:
        """Run the base with the adapter in this folder from now on, or without one.

        A folder that holds a whole model of the base's shape takes the base's place.
        """

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[Completion]:
        """The samples of each prompt, problem by problem."""


def open_engine(
    kind: str, model: ModelConfig, hardware: Hardware, adapter: Path | None = None
) -> Engine:
    """Start an engine with an adapter or without; `use` may change to another of its rank."""
    check_made_model(model.path)
    rank = None if adapter is None else check_adapter(adapter)
    engine: Engine
    if kind == "vllm":
        engine = VllmEngine(model, hardware, rank)
    else:
        engine = TransformersEngine(model, hardware)
    if adapter is not None:
        engine.use(adapter)
    return engine


def problem_seed(seed: int, problem_id: str) -> int:
    """Seed of a problem's sample 0: depends on the run's seed and the problem alone."""
    digest = hashlib.sha256(f"{seed}:{problem_id}".encode()).digest()
    return int.from_bytes(digest[:5], "big") // SEED_SPACING * SEED_SPACING


class VllmEngine:
    """vLLM: all prompts in one call, on a GPU or a CPU."""

    def __init__(
        self, model: ModelConfig, hardware: Hardware, max_lora_rank: int | None = None
    ) -> None:
        self._on_gpu = on_gpu()
        self._model = model
        self._tokenizer = load_tokenizer(model)
        self._eos = eos_token_ids(model, self._tokenizer)
        self._lora: Any = None
        self._adapters = 0
        options: dict[str, Any] = {
            "model": model.path,
            "revision": model.revision,
            "tokenizer_revision": model.revision,
            "dtype": model.dtype,
            "max_model_len": model.max_length,
            "load_format": "safetensors",  # never a pickle
            "seed": 0,
            "disable_log_stats": True,
            "enable_prefix_caching": True,  # K samples of a problem share its prompt
            # The model's generation_config may hold sampling defaults of its own.
            "generation_config": "vllm",
        }
        if self._on_gpu:
            options |= self._gpu_options(hardware, max_lora_rank)
        else:
            options |= _cpu_options(hardware, model)
        from vllm import LLM

        self._llm = LLM(**options)

    @staticmethod
    def _gpu_options(hardware: Hardware, max_lora_rank: int | None) -> dict[str, Any]:
        options: dict[str, Any] = {
            "gpu_memory_utilization": hardware.gpu_memory_utilization,
            "tensor_parallel_size": hardware.tensor_parallel,
            "pipeline_parallel_size": hardware.pipeline_parallel,
        }
        if max_lora_rank is not None:
            options |= {
                "enable_lora": True,
                "max_loras": 1,
                "max_lora_rank": served_rank(max_lora_rank),
            }
        return options

    def use(self, adapter: Path | None) -> None:
        """As `Engine.use`; on a CPU the adapter is merged into the weights."""
        if adapter is not None and is_whole(adapter):
            self._llm.collective_rpc("reload_weights", kwargs={"weights_path": str(adapter)})
            self._llm.reset_prefix_cache()
        elif self._on_gpu:
            self._lora = None if adapter is None else self._lora_request(adapter)
        else:
            # vLLM's CPU build runs LoRA at a fifth of the speed and leaks it into base rows.
            weights = merged_weights(self._model, adapter)
            self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
            self._llm.reset_prefix_cache()

    def _lora_request(self, adapter: Path) -> Any:
        from vllm.lora.request import LoRARequest

        # A used id or path can serve the adapter that was there before: both are unique here.
        self._adapters += 1
        unique = hashlib.sha256((adapter / ADAPTER_WEIGHTS).read_bytes()).hexdigest()
        return LoRARequest(f"{self._adapters}-{unique[:12]}", self._adapters, str(adapter))

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[Completion]:
        """As `Engine.generate`."""
        outputs = self.bare_generate(prompts, sampling)
        for prompt, output in zip(prompts, outputs, strict=True):
            for completion in sorted(output.outputs, key=lambda c: c.index):
                token_ids = list(completion.token_ids)
                logprobs = [
                    step[token].logprob
                    for step, token in zip(completion.logprobs, token_ids, strict=True)
                ]
                yield _row(
                    prompt,
                    sampling,
                    sampling.first + completion.index,
                    token_ids,
                    logprobs,
                    completion.finish_reason,
                    self._tokenizer,
                )

    def bare_generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Any]:
        """One `LLM.generate` call for all prompts; vLLM's own request outputs."""
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt

        ends, strings = stop_ids(PromptConfig(stop=list(sampling.stop)), self._tokenizer)
        params = [
            SamplingParams(
                n=sampling.count,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=prompt.max_tokens or sampling.max_tokens,
                seed=problem_seed(sampling.seed, prompt.problem_id) + sampling.first,
                stop=strings or None,
                stop_token_ids=sorted({*self._eos, *ends}),
                include_stop_str_in_output=True,
                logprobs=0,
                detokenize=bool(strings),
            )
            for prompt in prompts
        ]
        inputs = [TokensPrompt(prompt_token_ids=prompt.token_ids) for prompt in prompts]
        return list(self._llm.generate(inputs, params, lora_request=self._lora))


class TransformersEngine:
    """`generate` of transformers, a problem at a time: slow, plain, the reference in tests."""

    def __init__(self, model: ModelConfig, hardware: Hardware) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(hardware.threads)
        self._model_config = model
        self._tokenizer = load_tokenizer(model)
        self._eos = eos_token_ids(model, self._tokenizer)
        self._device = "cuda" if on_gpu() else "cpu"
        self._model = AutoModelForCausalLM.from_pretrained(
            model.path,
            revision=model.revision,
            dtype=getattr(torch, model.dtype),
            use_safetensors=True,
        ).to(self._device)

    def use(self, adapter: Path | None) -> None:
        """As `Engine.use`; the adapter is merged into the weights."""
        weights = dict(merged_weights(self._model_config, adapter))
        self._model.load_state_dict(weights, strict=False)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[Completion]:
        """As `Engine.generate`."""
        import torch
        from tqdm import tqdm

        ends, strings = self._ends(sampling)
        for prompt in tqdm(prompts, desc="generating", unit="problem"):
            torch.manual_seed(problem_seed(sampling.seed, prompt.problem_id) + sampling.first)
            limit = prompt.max_tokens or sampling.max_tokens
            ids = torch.tensor([prompt.token_ids] * sampling.count, device=self._device)
            with torch.inference_mode():
                output = self._model.generate(
                    ids,
                    attention_mask=torch.ones_like(ids),
                    **self._options(sampling, limit, ends, strings),
                )
            completions = output.sequences[:, ids.shape[1] :].tolist()
            # Raw logits are before temperature and top-p, as the rollouts table wants them.
            scores = torch.stack(output.logits, dim=1).float().log_softmax(-1)
            for index, completion in enumerate(completions):
                token_ids = self._until_end(completion, ends)
                at = torch.tensor(token_ids, device=self._device)[:, None]
                logprobs = scores[index, : len(token_ids)].gather(1, at)[:, 0].tolist()
                ended = token_ids[-1] in ends or len(token_ids) < limit
                reason = "stop" if ended else "length"
                sample = sampling.first + index
                yield _row(prompt, sampling, sample, token_ids, logprobs, reason, self._tokenizer)

    def _ends(self, sampling: Sampling) -> tuple[list[int], list[str]]:
        ids, strings = stop_ids(PromptConfig(stop=list(sampling.stop)), self._tokenizer)
        return sorted({*self._eos, *ids}), strings

    def _options(
        self, sampling: Sampling, limit: int, ends: list[int], strings: list[str]
    ) -> dict[str, Any]:
        options: dict[str, Any] = {
            "do_sample": sampling.temperature > 0,
            "max_new_tokens": limit,
            "eos_token_id": ends,
            "pad_token_id": ends[0],
            "return_dict_in_generate": True,
            "output_logits": True,
            "top_k": None,
        }
        if sampling.temperature > 0:
            options |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
        if strings:
            options |= {"stop_strings": strings, "tokenizer": self._tokenizer}
        return options

    @staticmethod
    def _until_end(token_ids: list[int], ends: list[int]) -> list[int]:
        for index, token in enumerate(token_ids):
            if token in ends:
                return token_ids[: index + 1]
        return token_ids


def merged_weights(model: ModelConfig, adapter: Path | None) -> Iterator[tuple[str, torch.Tensor]]:
    """The model's weights with an adapter merged into them in float32.

    Args:
        model: the base.
        adapter: folder of a PEFT adapter, or of a whole model that takes the base's place.

    Returns:
        Name and tensor, each of its own shape [...], in the model's dtype; a tied head is left out.

    Raises:
        UserError: if the adapter is damaged.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    if adapter is not None:
        check_adapter(adapter)
    whole = adapter is not None and is_whole(adapter)
    merged: Any = AutoModelForCausalLM.from_pretrained(
        str(adapter) if whole else model.path,
        revision=None if whole else model.revision,
        dtype=torch.float32,
        use_safetensors=True,
    )
    if adapter is not None and not whole:
        merged = PeftModel.from_pretrained(merged, str(adapter)).merge_and_unload()
    tied = getattr(merged.config, "tie_word_embeddings", False)
    for name, weight in merged.state_dict().items():
        if not (tied and name == "lm_head.weight"):
            yield name, weight.to(getattr(torch, model.dtype))


def _row(
    prompt: Prompt,
    sampling: Sampling,
    sample: int,
    token_ids: list[int],
    logprobs: list[float],
    finish_reason: str,
    tokenizer: Any,
) -> Completion:
    kept, text = trim_stop(token_ids, tokenizer, list(sampling.stop))
    return {
        "problem_id": prompt.problem_id,
        "sample": sample,
        "seed": problem_seed(sampling.seed, prompt.problem_id) + sample,
        "prompt_token_ids": prompt.token_ids,
        "token_ids": kept,
        "logprobs": logprobs[: len(kept)],
        "finish_reason": finish_reason,
        "text": text,
    }


def _cpu_options(hardware: Hardware, model: ModelConfig) -> dict[str, Any]:
    from ..modeling.cpu_kernels import keep_freed_memory

    # In process and without a compiler: two seconds to start instead of twenty to thirty.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    # The job's cores are its threads: binding to a core list would pile jobs onto the same ones.
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    os.environ["OMP_NUM_THREADS"] = str(hardware.threads)
    # One helper of the sampler is compiled even in eager mode: seconds and a gigabyte a start.
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    keep_freed_memory()
    return {
        "distributed_executor_backend": "uni",
        "enforce_eager": True,
        "kv_cache_memory_bytes": hardware.kv_cache_mb << 20,
        # A seed for each request together with chunked prefill crashes vLLM 0.32 on a CPU.
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": max(4096, model.max_length),
        "max_num_seqs": 256,
    }
