"""How the sampling of rollouts and benchmarks is cut into jobs, and which arms share them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..config import Config
from .protocol import protocol

# What an arm without overlays shares with all others of its kind lies under this name.
SHARED = "main"


@dataclass(frozen=True)
class Shard:
    """A block of problems x a block of samples; the last block of either may be smaller."""

    first_problem: int
    problems: int
    first_sample: int
    samples: int

    @property
    def name(self) -> str:
        return (
            f"p{self.first_problem}-{self.first_problem + self.problems - 1}"
            f".s{self.first_sample}-{self.first_sample + self.samples - 1}"
        )

    @classmethod
    def parse(cls, name: str) -> Shard:
        (first_p, last_p), (first_s, last_s) = (
            map(int, part[1:].split("-")) for part in name.split(".")
        )
        return cls(first_p, last_p - first_p + 1, first_s, last_s - first_s + 1)


def blocks(total: int, size: int) -> list[tuple[int, int]]:
    """(start, length) of consecutive blocks of at most `size`."""
    return [(start, min(size, total - start)) for start in range(0, total, size)]


def rollout_shards(config: Config, arm: str | None = None) -> list[str]:
    """Names of the shards that hold an arm's rollouts (None: those of the run's own section)."""
    rollouts = section_of(config, arm, "rollouts")
    problems = sum(source.limit or 0 for source in config.problems.train)
    return [
        Shard(first_problem, count, first_sample, samples).name
        for first_problem, count in blocks(problems, rollouts.problems_per_shard)
        for first_sample, samples in blocks(rollouts.samples, rollouts.samples_per_shard)
    ]


def evaluation_shards(config: Config, benchmark: str) -> list[str]:
    """Sample blocks of a benchmark's evaluation."""
    samples = protocol(config, benchmark)[1]
    return [
        f"s{first}-{first + count - 1}"
        for first, count in blocks(samples, config.evaluation.samples_per_shard)
    ]


def rollouts_origin(config: Config, arm: str | None) -> str:
    """The folder of the arm's rollouts: shared, unless the arm samples in its own way.

    The number of samples is not part of it: an arm with another K has more or fewer shards of
    the same folder.
    """
    return _origin(config, arm, _sampling_key)


def selection_origin(config: Config, arm: str) -> str:
    """The name of the arm's selection: shared with arms that select the same."""
    return _origin(config, arm, _selection_key)


def _origin(config: Config, arm: str | None, key: Callable[[Config, str | None], Any]) -> str:
    own = key(config, arm)
    if own == key(config, None):
        return SHARED
    return next(name for name in config.trained_arms if key(config, name) == own)


def _sampling_key(config: Config, arm: str | None) -> dict[str, Any]:
    return section_of(config, arm, "rollouts").model_dump(exclude={"samples"})


def _selection_key(config: Config, arm: str | None) -> tuple[Any, Any]:
    return section_of(config, arm, "rollouts"), section_of(config, arm, "selection")


def section_of(config: Config, arm: str | None, name: str) -> Any:
    """A section as an arm has it; for None or `main`, the run's own."""
    if arm is None or arm == SHARED:
        return getattr(config, name)
    return config.section_of(arm, name)
