"""What can be seen wrong in a config before anything is read or run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..config import Config, PromptConfig
from ..errors import UserError
from .sampling import VALIDATION


def check(config: Config) -> None:
    """What can be seen wrong before anything runs. Raises `UserError`."""
    if VALIDATION in config.benchmarks:
        raise UserError("config: benchmarks.validation: the name is taken by problems.validation")
    for place, prompt in _prompts(config):
        if prompt.template != "chat" and not Path(prompt.template).is_file():
            raise UserError(
                f"config: {place}.template: {prompt.template}: no such file; templates of the "
                f"project lie in config/prompts/"
            )
    for place, source in _sources(config):
        if source.path is not None and not Path(source.path).is_file():
            raise UserError(f"config: {place}.path: {source.path}: no such file")
    for source in config.problems.train:
        if source.limit is None:
            raise UserError(
                "config: problems.train: limit: give the number of problems: shards of rollouts "
                "are planned before the data is read"
            )


def _prompts(config: Config) -> Iterable[tuple[str, PromptConfig]]:
    yield "prompt", config.prompt
    for name, benchmark in config.benchmarks.items():
        if benchmark.prompt is not None:
            yield f"benchmarks.{name}.prompt", benchmark.prompt
    for name, arm in config.arms.items():
        if arm.prompt is not None:
            yield f"arms.{name}.prompt", arm.prompt


def _sources(config: Config) -> Iterable[tuple[str, Any]]:
    for index, source in enumerate(config.problems.train):
        yield f"problems.train[{index}]", source
    for index, source in enumerate(config.problems.validation):
        yield f"problems.validation[{index}]", source
    for name, benchmark in config.benchmarks.items():
        yield f"benchmarks.{name}.source", benchmark.source
