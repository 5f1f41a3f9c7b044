"""How the sampling of rollouts and benchmarks is cut into jobs, and which arms share them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import SHARED, Config
from .protocol import protocol

Block = tuple[int, int]  # first sample, and the one past the last
NAME = re.compile(r"(?:(p\d+-\d+)\.)?s(\d+)-(\d+)\.")


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


def sample_blocks(total: int, size: int, drawn: Collection[Block] = ()) -> list[Block]:
    """The blocks that hold the first `total` samples: those that were drawn, and what they lack.

    A block that was drawn is never cut, so the last one may hold more samples than are asked for;
    whoever reads it takes the first `total`. New blocks have at most `size`.
    """
    found: list[Block] = []
    while (start := found[-1][1] if found else 0) < total:
        ends = [end for first, end in drawn if first == start]
        later = [first for first, _ in drawn if first > start]
        fitting = [end for end in ends if end <= total] or [min(ends, default=0)]
        found.append((start, max(fitting) or min(start + size, total, *later)))
    return found


# Folder -> block of problems -> blocks of samples that were drawn.
_listed: dict[Path, dict[str, list[Block]]] = {}


def _drawn(folder: str) -> dict[str, list[Block]]:
    """The blocks of samples in a folder, finished ones.

    Listed once, since many arms ask, and since a graph must not change with what it makes.
    """
    place = Path(folder).absolute()
    if place not in _listed:
        found: dict[str, list[Block]] = {}
        for path in sorted(place.glob("*.parquet")):
            if block := NAME.match(path.name):
                found.setdefault(block[1] or "", []).append((int(block[2]), int(block[3]) + 1))
        _listed[place] = found
    return _listed[place]


def told() -> str:
    """What has been listed, as JSON for the processes of a cluster's jobs."""
    here = Path.cwd()
    return json.dumps({str(path.relative_to(here)): found for path, found in _listed.items()})


def listen(text: str) -> None:
    """Take over what another process has listed: when a job starts, other blocks may lie there."""
    for folder, found in json.loads(text).items():
        _listed[Path(folder).absolute()] = {
            problems: [(first, end) for first, end in blocks] for problems, blocks in found.items()
        }


def rollout_shards(config: Config, arm: str | None = None) -> list[str]:
    """Names of the shards that hold an arm's rollouts (None: those of the run's own section)."""
    rollouts = section_of(config, arm, "rollouts")
    problems = sum(source.limit or 0 for source in config.problems.train)
    drawn = _drawn(f"results/{config.run}/rollouts/{rollouts_origin(config, arm)}")
    return [
        Shard(first_problem, count, first, end - first).name
        for first_problem, count in blocks(problems, rollouts.problems_per_shard)
        for first, end in sample_blocks(
            rollouts.samples,
            rollouts.samples_per_shard,
            drawn.get(f"p{first_problem}-{first_problem + count - 1}", ()),
        )
    ]


def shard_files(config: Config, run: str, stage: str, arm: str | None = None) -> list[str]:
    """A stage's files for these shards."""
    folder = f"{run}/{stage}/{rollouts_origin(config, arm)}"
    return [f"{folder}/{shard}.parquet" for shard in rollout_shards(config, arm)]


def evaluation_shards(config: Config, benchmark: str) -> list[str]:
    """Sample blocks of a benchmark's evaluation, alike for all arms: those that the base has."""
    samples = protocol(config, benchmark)[1]
    drawn = _drawn(f"results/{config.run}/evaluation/{config.base_arm}/{benchmark}").get("", ())
    size = config.evaluation.samples_per_shard
    return [f"s{first}-{end - 1}" for first, end in sample_blocks(samples, size, drawn)]


def rollouts_origin(config: Config, arm: str | None) -> str:
    """The folder of the arm's rollouts: shared, unless the arm samples in its own way."""
    return SHARED if arm is None else config.origins["rollouts"][arm]


def selection_origin(config: Config, arm: str) -> str:
    """The name of the arm's selection: shared with arms that select the same."""
    return config.origins["selection"][arm]


def section_of(config: Config, arm: str | None, name: str) -> Any:
    """A section as an arm has it; for None, the run's own."""
    return getattr(config, name) if arm is None else config.section_of(arm, name)


def arm_of(config: Config, stage: str, origin: str) -> str | None:
    """An arm whose `rollouts` or `selection` lie under this name; None: the run's own do."""
    arms = {name: arm for arm, name in config.origins[stage].items()}
    return None if origin == SHARED else arms[origin]
