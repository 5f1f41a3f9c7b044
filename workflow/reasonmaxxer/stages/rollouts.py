"""Stage `rollouts`: completions sampled from a model.

The training rollouts come from the frozen base, one shard a job; an evaluation samples its arm in
the same way, so that both see the same prompts and the same engine. To start an engine takes long,
so a job samples all that is asked of its model in one start, a file for each part. Parts that an
earlier job has sampled are taken from there.
"""

import argparse
from dataclasses import dataclass, fields, replace
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal

from .. import tables
from ..analysis.spent import Laps
from ..config import ModelConfig, PromptConfig, SamplingConfig
from ..generation.engine import Batch, Hardware, Prompt, Sampling, open_engine
from ..generation.prompts import encode, load_tokenizer, prompt_end
from ..tables import reuse
from ..tables.artefacts import ADAPTER_WEIGHTS
from ..tables.provenance import provenance

HELP = "sample completions of blocks of problems from a model, with or without adapters"

NO_ADAPTER = "none"


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


@dataclass(frozen=True)
class Part:
    """What one file of completions is sampled from; without `adapter` the model itself."""

    problems: Path
    prompt: PromptConfig
    job: GenerationJob
    adapter: Path | None
    out: Path

    def made_from(self) -> list[str]:
        """All but the model, as texts and paths."""
        said = [self.prompt.as_json(), self.job.as_json(), str(self.problems)]
        return [*said, str(self.adapter or "")]

    def batch(self, model: ModelConfig, logprobs: bool) -> Batch:
        prompts = load_prompts(self.problems, model, self.prompt, self.job)
        sampling = replace(self.job.sampling(self.prompt), logprobs=logprobs)
        return Batch(prompts, sampling, self.adapter)

    def made_by(self, stage: str, model: ModelConfig) -> dict[str, Any]:
        """The file's provenance, with how its prompts end: some open a model's thinking there."""
        inputs = [self.problems, *([self.adapter / ADAPTER_WEIGHTS] if self.adapter else [])]
        record = provenance(stage, self.job.model_dump(mode="json"), inputs, self.job.seed)
        return record | {"prompt_end": prompt_end(self.prompt, model)}


def parts_of(args: argparse.Namespace) -> list[Part]:
    """A part for every adapter and block of problems, in the order of the files to write."""
    blocks = zip(args.problems, args.prompt, args.job, strict=True)
    return [
        Part(
            problems,
            PromptConfig.from_json(prompt),
            GenerationJob.from_json(job),
            None if adapter == NO_ADAPTER else Path(adapter),
            out,
        )
        for (adapter, (problems, prompt, job)), out in zip(
            product(args.adapter, list(blocks)), args.out, strict=True
        )
    ]


def hardware(args: argparse.Namespace) -> Hardware:
    return Hardware(**{field.name: getattr(args, field.name) for field in fields(Hardware)})


def add_generation_arguments(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """The flags of every command that runs an engine; with `several`, for several files."""
    many: dict[str, Any] = {"nargs": "+"} if several else {}
    each = ", one for each block" if several else ""
    parser.add_argument("--model-config", required=True, help="config section `model`, as JSON")
    parser.add_argument(
        "--problems", required=True, type=Path, help=f"table of problems{each}", **many
    )
    parser.add_argument(
        "--prompt", required=True, help=f"config section `prompt`, as JSON{each}", **many
    )
    parser.add_argument("--job", required=True, help=f"what to sample, as JSON{each}", **many)
    add_hardware_arguments(parser)


def add_hardware_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("where it runs (never changes what comes out)")
    for field in fields(Hardware):
        flag, kind = f"--{field.name.replace('_', '-')}", type(field.default)
        where.add_argument(flag, type=kind, default=field.default, **field.metadata)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_generation_arguments(parser, several=True)
    parser.add_argument(
        "--adapter",
        nargs="+",
        default=[NO_ADAPTER],
        help="folders of adapters, each of which continues every block; `none` stands for "
        "the model itself",
    )
    parser.add_argument("--code", help=reuse.CODE)
    parser.add_argument(
        "--out",
        required=True,
        nargs="+",
        type=Path,
        help="tables of rollouts to write: those of the first adapter, then of the next",
    )


def main(args: argparse.Namespace) -> None:
    sample(args, "rollouts", logprobs=True)


def sample(args: argparse.Namespace, stage: str, logprobs: bool = False) -> None:
    """Write each part's completions as a table `rollouts` that `stage` has made."""
    model = ModelConfig.from_json(args.model_config)
    parts = parts_of(args)
    files = reuse.content(args.model_config)  # once for all parts: a model may have gigabytes
    missing = reuse.missing(
        stage,
        {part.out: [files, *part.made_from()] for part in parts},
        args.code,
    )
    parts = [part for part in parts if part.out in missing]
    if not parts:
        return
    batches = [part.batch(model, logprobs) for part in parts]
    adapters = [part.adapter for part in parts]
    engine = open_engine(parts[0].job.engine, model, hardware(args), adapters)
    laps = Laps()
    for number, rows in engine.generate(batches):
        part = parts[number]
        tables.write(part.out, "rollouts", rows, part.made_by(stage, model))
        if (kept := missing[part.out]) is not None:
            kept.keep(laps.line())
