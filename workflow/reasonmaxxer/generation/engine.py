"""Generation: vLLM, or transformers where no vLLM wheel exists, behind one function.

Prompts go in and completions come out as token ids; text is decoded from the ids, never the
other way. An engine runs one set of weights at a time: the base, or the base with an adapter.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

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
# Adapters that a GPU serves at once; prompts of others wait until one of these is done.
MOST_ADAPTERS = 8


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
    logprobs: bool = False  # of the sampled tokens: a tenth of an engine's time, so only if read


def _flag(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Hardware:
    """Where an engine runs; results do not depend on it beyond floating-point noise.

    Its fields are also flags, of which `help` tells the use.
    """

    threads: int = _flag(1, help="number of CPU cores")
    kv_cache_mb: int = _flag(1000, help="size of the KV cache on a CPU, in MiB")
    gpu_memory_utilization: float = _flag(
        0.9, help="share of a GPU's memory that the engine may use, 0 to 1"
    )
    tensor_parallel: int = _flag(1, help="number of GPUs that each layer is split over")
    pipeline_parallel: int = _flag(1, help="number of GPUs that the layers are divided among")


@dataclass(frozen=True)
class Prompt:
    """What is continued; `max_tokens` is its own limit where it has used up part of its room."""

    problem_id: str
    token_ids: list[int]
    max_tokens: int | None = None


@dataclass(frozen=True)
class Batch:
    """Prompts that are continued in the same way by the same weights.

    `adapter` is the folder of a LoRA, or of a whole model of the base's shape that takes the base's
    place; None samples from the base itself.
    """

    prompts: Sequence[Prompt]
    sampling: Sampling
    adapter: Path | None = None


class Completion(TypedDict):
    """A sampled completion, as a row of the table `rollouts`."""

    problem_id: str
    sample: int
    seed: int
    prompt_token_ids: list[int]
    token_ids: list[int]  # up to the stop string, the end-of-sequence id included
    logprobs: list[float]  # nats, before temperature and top-p; empty unless asked for
    finish_reason: str  # "stop" or "length"
    text: str


def open_engine(
    kind: str, model: ModelConfig, hardware: Hardware, adapters: Sequence[Path | None] = ()
) -> Engine:
    """Start an engine for the model and these adapters of it.

    Raises `UserError` where the model or an adapter is damaged.
    """
    check_made_model(model.path)
    ranks = {adapter: check_adapter(adapter) for adapter in adapters if adapter is not None}
    if kind == "vllm":
        return VllmEngine(model, hardware, [rank for rank in ranks.values() if rank is not None])
    return TransformersEngine(model, hardware)


def base_completions(
    engine: Engine, prompts: Sequence[Prompt], sampling: Sampling
) -> list[Completion]:
    """The base's completions of some prompts."""
    (completions,) = (rows for _, rows in engine.generate([Batch(prompts, sampling)]))
    return completions


def problem_seed(seed: int, problem_id: str) -> int:
    """Seed of a problem's sample 0: depends on the run's seed and the problem alone."""
    digest = hashlib.sha256(f"{seed}:{problem_id}".encode()).digest()
    return int.from_bytes(digest[:5], "big") // SEED_SPACING * SEED_SPACING


class VllmEngine:
    """vLLM, on a GPU or a CPU."""

    def __init__(
        self, model: ModelConfig, hardware: Hardware, lora_ranks: Sequence[int] = ()
    ) -> None:
        self._on_gpu = on_gpu()
        self._model = model
        self._tokenizer = load_tokenizer(model)
        self._eos = eos_token_ids(model, self._tokenizer)
        self._loras: dict[Path, Any] = {}
        self._weights: Path | None = None  # what the base's weights were replaced by
        options: dict[str, Any] = {
            "model": model.path,
            "revision": model.revision,
            "tokenizer_revision": model.revision,
            "dtype": model.dtype,
            # Logits as the scorer computes them, not rounded to bfloat16 before the softmax.
            "hf_overrides": {"head_dtype": "float32"},
            "max_model_len": model.max_length,
            "load_format": "safetensors",  # never a pickle
            "seed": 0,
            "disable_log_stats": True,
            "enable_prefix_caching": True,  # K samples of a problem share its prompt
            # The model's generation_config may hold sampling defaults of its own.
            "generation_config": "vllm",
        }
        if self._on_gpu:
            options |= _gpu_options(hardware, lora_ranks)
        else:
            options |= _cpu_options(hardware, model)
        # vLLM tells its makers what it runs on, unless it is asked not to.
        os.environ["VLLM_NO_USAGE_STATS"] = "1"
        from vllm import LLM

        self._llm = LLM(**options)

    def generate(self, batches: Sequence[Batch]) -> Iterator[tuple[int, list[Completion]]]:
        """The place of each batch and its completions, problem by problem, as it is finished.

        Batches of the same weights run together. So do a GPU's LoRAs, which decode one tail of
        long completions instead of one for each.
        """
        for weights, group in groupby(enumerate(batches), lambda item: self._merged(item[1])):
            self._load(weights)
            yield from self._run(list(group))

    def _merged(self, batch: Batch) -> Path | None:
        """The adapter, if it is put into the weights instead of served beside them."""
        adapter = batch.adapter
        # vLLM's CPU build runs LoRA at a fifth of the speed and leaks it into base rows.
        merged = adapter is not None and (is_whole(adapter) or not self._on_gpu)
        return adapter if merged else None

    def _load(self, adapter: Path | None) -> None:
        if adapter == self._weights:
            return
        if adapter is not None and is_whole(adapter):
            source: dict[str, Any] = {"weights_path": str(adapter)}
        else:
            source = {"weights_iterator": merged_weights(self._model, adapter)}
        self._llm.collective_rpc("reload_weights", kwargs=source)
        self._llm.reset_prefix_cache()
        self._weights = adapter

    def _run(self, batches: list[tuple[int, Batch]]) -> Iterator[tuple[int, list[Completion]]]:
        from tqdm import tqdm

        engine, outputs = self._llm.llm_engine, {}
        asked = {place: self._enqueue(batch) for place, batch in batches}
        place_of = {name: place for place, names in asked.items() for name in names}
        left = Counter(place_of.values())
        yield from ((place, []) for place, names in asked.items() if not names)
        with tqdm(total=len(place_of), desc="sampling", unit="problem") as bar:
            while engine.has_unfinished_requests():
                for output in engine.step():
                    if not output.finished:
                        continue
                    outputs[output.request_id] = output
                    bar.update()
                    place = place_of[output.request_id]
                    left[place] -= 1
                    if not left[place]:
                        made = [outputs.pop(name) for name in asked[place]]
                        yield place, list(self._rows(dict(batches)[place], made))

    def _enqueue(self, batch: Batch) -> list[str]:
        """Give all prompts to the engine; the names of its requests."""
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt

        sampling = batch.sampling
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
                logprobs=0 if sampling.logprobs else None,
                flat_logprobs=sampling.logprobs,
                detokenize=bool(strings),
            )
            for prompt in batch.prompts
        ]
        inputs = [TokensPrompt(prompt_token_ids=prompt.token_ids) for prompt in batch.prompts]
        lora = None if self._merged(batch) else self._lora(batch.adapter)
        names = self._llm.enqueue(inputs, params, lora_request=lora, use_tqdm=False)
        # vLLM adds random letters inside the engine; its outputs have the number alone.
        return [name.split("-")[0] for name in names]

    def _lora(self, adapter: Path | None) -> Any:
        """The adapter as vLLM wants it, under a number of its own."""
        from vllm.lora.request import LoRARequest

        if adapter is None:
            return None
        if adapter not in self._loras:
            # A used id or path can serve the adapter that was there before: both are unique here.
            number = len(self._loras) + 1
            unique = hashlib.sha256((adapter / ADAPTER_WEIGHTS).read_bytes()).hexdigest()
            self._loras[adapter] = LoRARequest(f"{number}-{unique[:12]}", number, str(adapter))
        return self._loras[adapter]

    def _rows(self, batch: Batch, outputs: Sequence[Any]) -> Iterator[Completion]:
        for prompt, output in zip(batch.prompts, outputs, strict=True):
            for completion in sorted(output.outputs, key=lambda c: c.index):
                yield _row(
                    prompt,
                    batch.sampling,
                    batch.sampling.first + completion.index,
                    list(completion.token_ids),
                    list(completion.logprobs.logprobs) if batch.sampling.logprobs else [],
                    completion.finish_reason,
                    self._tokenizer,
                )


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
        self._weights: Path | None = None
        self._model = AutoModelForCausalLM.from_pretrained(
            model.path,
            revision=model.revision,
            dtype=getattr(torch, model.dtype),
            use_safetensors=True,
        ).to(self._device)

    def generate(self, batches: Sequence[Batch]) -> Iterator[tuple[int, list[Completion]]]:
        """As `VllmEngine.generate`; adapters are merged into the weights."""
        for place, batch in enumerate(batches):
            if batch.adapter != self._weights:
                weights = dict(merged_weights(self._model_config, batch.adapter))
                self._model.load_state_dict(weights, strict=False)
                self._weights = batch.adapter
            yield place, list(self._rows(batch.prompts, batch.sampling))

    def _rows(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[Completion]:
        import torch
        from tqdm import tqdm

        stops, strings = stop_ids(PromptConfig(stop=list(sampling.stop)), self._tokenizer)
        ends = sorted({*self._eos, *stops})
        for prompt in tqdm(prompts, desc="sampling", unit="problem"):
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
                length = next((i for i, t in enumerate(completion, 1) if t in ends), limit)
                token_ids = completion[:length]
                at = torch.tensor(token_ids, device=self._device)[:, None]
                chosen = scores[index, : len(token_ids)].gather(1, at)[:, 0]
                logprobs = chosen.tolist() if sampling.logprobs else []
                ended = token_ids[-1] in ends or len(token_ids) < limit
                reason = "stop" if ended else "length"
                sample = sampling.first + index
                yield _row(prompt, sampling, sample, token_ids, logprobs, reason, self._tokenizer)

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


Engine = VllmEngine | TransformersEngine


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


def _gpu_options(hardware: Hardware, lora_ranks: Sequence[int]) -> dict[str, Any]:
    # `on_gpu` has asked CUDA, and a fork of a process that did so cannot use a GPU. vLLM does not
    # see that it was asked, and would fork.
    os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
    options: dict[str, Any] = {
        "gpu_memory_utilization": hardware.gpu_memory_utilization,
        "tensor_parallel_size": hardware.tensor_parallel,
        "pipeline_parallel_size": hardware.pipeline_parallel,
    }
    if lora_ranks:
        options |= {
            "enable_lora": True,
            "max_loras": min(len(lora_ranks), MOST_ADAPTERS),
            "max_lora_rank": served_rank(max(lora_ranks)),
        }
    return options


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
