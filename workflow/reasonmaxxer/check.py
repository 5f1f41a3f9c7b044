"""Everything that can be seen wrong before a run costs anything, all of it at once."""

from __future__ import annotations

import argparse
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import config
from .config import Config, ModelConfig
from .convert import locate
from .errors import UserError
from .estimate import Estimate, estimate
from .model import model_settings
from .overlap import without_doubles, without_overlap
from .plan.checks import check
from .plan.files import model_of
from .plan.jobs import targets
from .plan.sampling import prompt_of, protocol, sources_of
from .preflight import check_model, check_prompts
from .problems import load_problems
from .shape import Shape

HELP = "check a config, its model, its problems and this machine, without running anything"

Problems = dict[str, list[dict[str, Any]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--configfile", nargs="+", required=True, help="config files, in order")


def main(args: argparse.Namespace) -> None:
    report(config.load(args.configfile))


def report(run: Config) -> None:
    """Print what each check found. Raises `UserError` with all that is wrong."""
    check(run)
    problems: Problems = {}
    found: list[str] = []
    for what, look in checks(run, problems):
        try:
            print(f"{what}: {look()}")
        except UserError as error:
            found.append(str(error))
            print(f"{what}: WRONG")
    if found:
        raise UserError(f"{len(found)} found:\n" + "\n".join(found))
    print("nothing wrong found")


def checks(run: Config, problems: Problems) -> Iterator[tuple[str, Callable[[], str]]]:
    """What is looked at, in order: a name, and a function that says what it found.

    The problems that were read are kept in `problems`, for the checks behind theirs.
    """
    for split in ("train", "validation", *run.benchmarks):
        yield f"problems of {split}", functools.partial(_problems, run, split, problems)
    yield "overlap", lambda: _overlap(run, problems)
    for arm in run.arms:
        model = model_of(run, arm)
        if not run.is_whole(arm) and (model != run.model or arm == run.base_arm):
            yield f"model of {arm}", functools.partial(_model, run, model)
    yield "prompts", lambda: _prompts(run, problems)
    yield "machine", lambda: _machine(run)
    yield "estimate", lambda: _estimate(run)


def _problems(run: Config, split: str, problems: Problems) -> str:
    problems[split] = load_problems(sources_of(run, split), split)
    return f"{len(problems[split])}"


def _overlap(run: Config, problems: Problems) -> str:
    benchmarks = {name: problems[name] for name in run.benchmarks if name in problems}
    counts = {}
    others = dict(benchmarks)
    for split in ("validation", "train"):
        if split in problems:
            single, doubles = without_doubles(problems[split])
            others[split], shared = without_overlap(single, split, others, run.problems.overlap)
            counts[split] = doubles + sum(shared.values())
    return ", ".join(f"{count} of {split} are left out" for split, count in counts.items())


def _model(run: Config, model: ModelConfig) -> str:
    if model.gguf is not None and not Path(model.path, "config.json").exists():
        return f"will be converted from {locate(model.gguf)}"
    settings = check_model(model, targets(run) if model == run.model else [])
    return f"{model.path}, {settings.model_type}"


def _prompts(run: Config, problems: Problems) -> str:
    """Every prompt renders, and leaves room for a completion."""
    if not Path(run.model.path).exists() and run.model.gguf is not None:
        return "not checked before the model is converted"
    longest = 0
    for split, rows in problems.items():
        texts = {row["problem_id"]: row["problem"] for row in rows}
        sampling = run.rollouts if split == "train" else protocol(run, split)[0]
        prompt = prompt_of(run, split)
        longest = max(longest, check_prompts(run.model, prompt, texts, sampling.max_tokens))
    return f"the longest has {longest} tokens"


def _machine(run: Config) -> str:
    import torch

    gpus = torch.cuda.device_count()
    if run.resources.gpus > gpus:
        raise UserError(
            f"resources: {run.resources.gpus} GPUs are asked for, this machine has {gpus}; on a "
            "cluster check on a GPU node, or set the gpu values to 0 to run on the CPU"
        )
    jobs = {name: getattr(run.resources, name) for name in type(run.resources).model_fields}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    for name, asked in jobs.items():
        if asked.mem_mb > memory:
            raise UserError(
                f"resources.{name}.mem_mb: {asked.mem_mb} MB, this machine has {memory} MB"
            )
    free = shutil.disk_usage(".").free
    wanted = _weights(run) * (1 + len(run.trained_arms)) if not run.resources.gpus else 10**9
    if free < wanted:
        raise UserError(
            f"disk: {free / 1e9:.1f} GB free here, about {wanted / 1e9:.1f} GB are needed"
        )
    return f"{gpus} GPUs, {memory} MB of memory, {free / 1e9:.0f} GB of disk"


def _weights(run: Config) -> int:
    """Bytes of the model's weights as float32: what a merged adapter takes on disk."""
    if not Path(run.model.path, "config.json").exists():
        return 10**9
    return 4 * Shape.of(model_settings(run.model.path, run.model)).parameters


def _estimate(run: Config) -> str:
    if not run.resources.gpus:
        return "for GPUs only"
    return " ".join(_of(run).lines())


def _of(run: Config) -> Estimate:
    return estimate(run, Shape.of(model_settings(run.model.path, run.model)))
