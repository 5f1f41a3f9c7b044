"""What a run cost: time and memory of its jobs, from their logs and Snakemake's benchmark files.

The cost is GPU time where the run used GPUs, and processor time where it used none. Wall-clock time
is neither: it measures what else the machine did.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..registry import STAGE_OF_RULE, STAGES
from . import spent

Unit = Literal["processor", "GPU"]


@dataclass(frozen=True)
class Job:
    """A job's last try: wall-clock seconds, processor seconds, seconds times GPUs, peak memory."""

    rule: str
    name: str  # the job's wildcards, as its file is called
    seconds: float
    processor: float | None = None
    gpu: float = 0.0
    memory_mb: float | None = None

    @property
    def stage(self) -> str:
        """The title of the job's stage; a rule that belongs to no stage keeps its name."""
        stage = STAGE_OF_RULE.get(self.rule)
        return self.rule.replace("_", " ").capitalize() if stage is None else stage.title

    def cost(self, unit: Unit) -> float | None:
        """Seconds of it; None where nothing measured them."""
        return self.gpu if unit == "GPU" else self.processor


def unit_of(jobs: Iterable[Job]) -> Unit:
    """What the run's cost is counted in."""
    return "GPU" if any(job.gpu for job in jobs) else "processor"


def read_jobs(folder: Path) -> list[Job]:
    """Every job of `benchmarks/<rule>[/<wildcards>].tsv`; none where the folder is missing.

    `logs/<rule>[/<wildcards>].log` beside it says what the job spent. Where it does not, the
    processor time is as Snakemake measured it, which leaves out a job's last seconds.
    """
    jobs = []
    for path in sorted(folder.rglob("*.tsv")):
        place = path.relative_to(folder)
        rule, *rest = place.with_suffix("").parts
        lines = list(csv.DictReader(path.open(encoding="utf-8"), delimiter="\t"))
        if lines:
            keys = ("s", "cpu_time", "max_rss")
            seconds, processor, memory = (_number(lines[-1].get(key)) for key in keys)
            own = spent.read(folder.parent / "logs" / place.with_suffix(".log"))
            processor, gpu = (own.processor, own.gpu) if own else (processor, 0.0)
            jobs.append(Job(rule, "/".join(rest), seconds or 0.0, processor, gpu, memory))
    return jobs


def _number(text: str | None) -> float | None:
    """Snakemake writes `-` or `NA` where a job was too short to be measured."""
    try:
        return float(text or "")
    except ValueError:
        return None


def stage_rows(
    jobs: Iterable[Job], tokens: Mapping[str, Any], price_per_hour: float | None
) -> list[dict[str, Any]]:
    """Stages in the order of the pipeline: jobs, seconds of the run's unit, tokens, memory, price.

    `wall` are their wall-clock seconds, to divide tokens by.
    """
    jobs = list(jobs)
    unit = unit_of(jobs)
    known = {
        "Rollouts": tokens.get("rollouts", 0),
        "Scoring": tokens.get("entropies", 0),
        "Training": sum(tokens.get("training", {}).values()),
        "Evaluation": sum(tokens.get("evaluation", {}).values()),
    }
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.stage, []).append(job)
    order = list(dict.fromkeys(stage.title for stage in STAGES.values()))
    stages = sorted(groups, key=lambda s: order.index(s) if s in order else len(order))
    return [
        {
            "stage": stage,
            "jobs": len(groups[stage]),
            "seconds": (seconds := total(job.cost(unit) for job in groups[stage])),
            "wall": sum(job.seconds for job in groups[stage]),
            "tokens": known.get(stage) or None,
            "memory_mb": max((job.memory_mb or 0 for job in groups[stage]), default=0) or None,
            "dollars": dollars(seconds, price_per_hour),
        }
        for stage in stages
    ]


def total(seconds: Iterable[float | None]) -> float | None:
    """Their sum; None where none of them was measured."""
    known = [one for one in seconds if one is not None]
    return sum(known) if known else None


def dollars(seconds: float | None, price_per_hour: float | None) -> float | None:
    if seconds is None or price_per_hour is None:
        return None
    return seconds / 3600 * price_per_hour
