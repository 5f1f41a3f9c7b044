"""Stage `rollouts`: completions sampled from a model, one shard a job.

The training rollouts come from the frozen base; an evaluation samples its arm with the same
command, so that both see the same prompts and the same engine.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from .. import tables
from ..config import ModelConfig, PromptConfig, SamplingConfig
from ..generation.engine import Completion, Engine, Hardware, Prompt, Sampling, open_engine
from ..generation.prompts import encode, load_tokenizer
from ..tables.artefacts import ADAPTER_WEIGHTS
from ..tables.provenance import provenance

HELP = "sample completions of a block of problems from a model, with or without an adapter"

ROWS_A_WRITE = 256


class GenerationJob(SamplingConfig):
    """One job's share of the work; `samples` and `problems` are its own, never the run's."""

    engine: Literal["vllm", "transformers"] = "vllm"
    first_sample: int = 0
    samples: int = 1
    first_problem: int = 0
    problems: int | None = None

    def sampling(self, prompt: PromptConfig) -> Sampling:
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=self.seed,
            count=self.samples,
            first=self.first_sample,
            stop=tuple(prompt.stop),
        )


def load_prompts(
    problems: str | Path, model: ModelConfig, prompt: PromptConfig, job: GenerationJob
) -> list[Prompt]:
    """The job's block of problems, each as the token ids that the model is shown.

    Prompt and completion together have `model.max_length` tokens: a long prompt leaves its
    completion fewer than `max_tokens`.
    """
    last = None if job.problems is None else job.first_problem + job.problems
    rows = list(islice(tables.rows(problems, "problems"), job.first_problem, last))
    encoded = encode(prompt, [row["problem"] for row in rows], load_tokenizer(model))
    return [
        Prompt(row["problem_id"], ids, min(job.max_tokens, model.max_length - len(ids)))
        for row, ids in zip(rows, encoded, strict=True)
    ]


def completions(
    engine: Engine, prompts: list[Prompt], sampling: Sampling
) -> Iterator[list[Completion]]:
    """Completion rows in handfuls, to be written as they come."""
    rows = engine.generate(prompts, sampling)
    while handful := list(islice(rows, ROWS_A_WRITE)):
        yield handful


def hardware(args: argparse.Namespace) -> Hardware:
    return Hardware(
        args.threads,
        args.kv_cache_mb,
        args.gpu_memory_utilization,
        args.tensor_parallel,
        args.pipeline_parallel,
    )


def add_generation_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of every command that runs an engine."""
    parser.add_argument("--problems", required=True, type=Path, help="table of problems")
    parser.add_argument("--model-config", required=True, help="config section `model`, as JSON")
    parser.add_argument("--prompt", required=True, help="config section `prompt`, as JSON")
    parser.add_argument("--job", required=True, help="what to sample, as JSON")
    add_hardware_arguments(parser)


def add_hardware_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("where it runs (never changes what comes out)")
    where.add_argument("--threads", type=int, default=1, help="number of CPU cores")
    where.add_argument(
        "--kv-cache-mb", type=int, default=1000, help="size of the KV cache on a CPU, in MiB"
    )
    where.add_argument(
        "--gpu-memory-utilization",
        type=float,
        default=0.9,
        help="share of a GPU's memory that the engine may use, 0 to 1",
    )
    where.add_argument(
        "--tensor-parallel",
        type=int,
        default=1,
        help="number of GPUs that each layer is split over",
    )
    where.add_argument(
        "--pipeline-parallel",
        type=int,
        default=1,
        help="number of GPUs that the layers are divided among",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_generation_arguments(parser)
    parser.add_argument("--adapter", type=Path, help="folder of an adapter, if there is one")
    parser.add_argument("--out", required=True, type=Path, help="table of rollouts to write")


def main(args: argparse.Namespace) -> None:
    sample(args, "rollouts")


def sample(args: argparse.Namespace, stage: str) -> None:
    """Write the job's completions as a table `rollouts` that `stage` has made."""
    model = ModelConfig.from_json(args.model_config)
    prompt = PromptConfig.from_json(args.prompt)
    job = GenerationJob.from_json(args.job)
    prompts = load_prompts(args.problems, model, prompt, job)
    inputs = [args.problems, *([args.adapter / ADAPTER_WEIGHTS] if args.adapter else [])]
    made_by = provenance(stage, job.model_dump(mode="json"), inputs, job.seed)
    engine = open_engine(job.engine, model, hardware(args), args.adapter)
    with tables.open_writer(args.out, "rollouts", made_by) as writer:
        for rows in completions(engine, prompts, job.sampling(prompt)):
            writer.write(rows)
