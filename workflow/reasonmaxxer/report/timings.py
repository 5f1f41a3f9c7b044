"""What a run cost: time and memory of its jobs, from Snakemake's benchmark files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASE_ON_VALIDATION = "Checkpoint choice, base"
TEACHING = "Teacher's rollouts"

# Rule -> what it does, in the order of the pipeline; a rule that is not listed keeps its name.
STAGES = {
    "convert_model": "Model conversion",
    "load_problems": "Problems",
    "clean_pool": "Problems",
    "audit_problems": "Problems",
    "check_model": "Problems",
    "sample_rollouts": "Rollouts",
    "judge_rollouts": "Verdicts",
    "score_rollouts": "Scoring",
    "select_positions": "Selection",
    "train_adapter": "Training",
    "train_grpo": "GRPO",
    "sample_teacher": TEACHING,
    "distil_teacher": "Distillation",
    "choose_checkpoint": "Checkpoint choice",
    "choose_model": "Checkpoint choice",
    "evaluate_arm": "Evaluation",
    "judge_arm": "Evaluation",
    "read_pairs": "Reading",
    "check_contamination": "Contamination",
    "merge_adapter": "Merging",
    "write_greedy_text": "Footprint",
    "measure_footprint": "Footprint",
    "decode_interventions": "Interventions",
    "judge_interventions": "Interventions",
    "sample_continuations": "Pivotality",
    "judge_continuations": "Pivotality",
    "sample_capability": "Capability",
    "judge_capability": "Capability",
    "compute_metrics": "Metrics",
    "render_report": "Report",
    "publish_report": "Report",
}
# The stages without which an arm of a kind does not exist; each is counted once, shared or its own.
MAKING = {
    "trained": (
        *("Rollouts", "Verdicts", "Scoring", "Selection", "Training", "Checkpoint choice"),
        BASE_ON_VALIDATION,
    ),
    "grpo": ("GRPO", "Checkpoint choice", BASE_ON_VALIDATION),
    "distilled": ("Distillation",),
}
TRAINED = ("Training", "GRPO", "Distillation")


@dataclass(frozen=True)
class Job:
    stage: str
    name: str  # the job's wildcards, as its file is called
    seconds: float
    memory_mb: float | None


def read_jobs(folder: Path) -> list[Job]:
    """Every job of `benchmarks/<rule>[/<wildcards>].tsv`; none where the folder is missing."""
    jobs = []
    for path in sorted(folder.rglob("*.tsv")):
        rule, *rest = path.relative_to(folder).with_suffix("").parts
        lines = list(csv.DictReader(path.open(encoding="utf-8"), delimiter="\t"))
        if lines:
            seconds, memory = (_number(lines[-1].get(key)) for key in ("s", "max_rss"))
            name = "/".join(rest)
            jobs.append(Job(_stage(rule, name), name, seconds or 0.0, memory))
    return jobs


def _stage(rule: str, job: str) -> str:
    stage = STAGES.get(rule, rule.replace("_", " ").capitalize())
    return BASE_ON_VALIDATION if stage == "Evaluation" and ".validation." in job else stage


def _number(text: str | None) -> float | None:
    """Snakemake writes `-` or `NA` where a job was too short to be measured."""
    try:
        return float(text or "")
    except ValueError:
        return None


def stage_rows(
    jobs: Iterable[Job], tokens: Mapping[str, Any], price_per_hour: float | None
) -> list[dict[str, Any]]:
    """Stages in the order of the pipeline: jobs, seconds, tokens, peak memory, dollars."""
    known = {
        "Rollouts": tokens.get("rollouts", 0),
        "Scoring": tokens.get("entropies", 0),
        "Training": sum(tokens.get("training", {}).values()),
        "Evaluation": sum(tokens.get("evaluation", {}).values()),
    }
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.stage, []).append(job)
    order = list(dict.fromkeys(STAGES.values()))
    order.insert(order.index("Evaluation"), BASE_ON_VALIDATION)
    stages = sorted(groups, key=lambda s: order.index(s) if s in order else len(order))
    return [
        {
            "stage": stage,
            "jobs": len(groups[stage]),
            "seconds": (seconds := sum(job.seconds for job in groups[stage])),
            "tokens": known.get(stage) or None,
            "memory_mb": max((job.memory_mb or 0 for job in groups[stage]), default=0) or None,
            "dollars": dollars(seconds, price_per_hour),
        }
        for stage in stages
    ]


def arm_seconds(
    jobs: Iterable[Job], arm: str, arms: Mapping[str, Mapping[str, Any]], shared: bool = True
) -> float | None:
    """Seconds it takes to make an arm, shared stages included or not; None without timings.

    Where a stage has jobs of this arm's own they count, else those that arms share. A distilled
    arm needs its teacher first.
    """
    jobs = list(jobs)
    kind = arms[arm]["kind"]
    if kind not in MAKING:
        return None
    owned: dict[str, dict[bool, float]] = {}
    names = sorted(arms, key=len, reverse=True)
    for job in jobs:
        common = job.stage == BASE_ON_VALIDATION
        owner = None if common else next((name for name in names if _is_of(job.name, name)), None)
        if job.stage in MAKING[kind] and owner in ((arm, None) if shared else (arm,)):
            own = owned.setdefault(job.stage, {})
            own[owner == arm] = own.get(owner == arm, 0.0) + job.seconds
    if not any(True in owned.get(stage, {}) for stage in TRAINED):
        return None
    total = sum(own.get(True, own.get(False, 0.0)) for own in owned.values())
    teacher = arms[arm].get("teacher")
    if teacher is None or not shared:
        return total
    rollouts = [job for job in jobs if job.stage == TEACHING and _is_of(job.name, teacher)]
    before = arm_seconds(jobs, teacher, arms) or 0.0
    return total + before + sum(job.seconds for job in rollouts)


def _is_of(job: str, arm: str) -> bool:
    return job == arm or job.startswith((f"{arm}.", f"{arm}/"))


def dollars(seconds: float | None, price_per_hour: float | None) -> float | None:
    if seconds is None or price_per_hour is None:
        return None
    return seconds / 3600 * price_per_hour
