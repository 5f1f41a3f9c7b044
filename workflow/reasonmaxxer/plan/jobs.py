"""The jobs of each stage, and what each of them is told: its own share only, as one string."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..config import Config, SamplingConfig, TrainingConfig
from .files import evaluation_tables, main_arm
from .sampling import protocol
from .shards import Shard, section_of

# The jobs of every stage, by rule and in order; the rule of a stage's own name gathers their files.
JOBS = {
    "problems": ("load_problems", "clean_pool", "audit_problems", "check_model"),
    "rollouts": ("sample_rollouts",),
    "verdicts": ("judge_rollouts",),
    "entropies": ("score_rollouts",),
    "selection": ("select_positions",),
    "training": ("train_adapter", "train_grpo"),
    "adapter": ("choose_checkpoint", "choose_model"),
    "distillation": ("sample_teacher", "distil_teacher"),
    "evaluation": ("evaluate_arm", "judge_arm"),
    "reading": ("read_pairs",),
    "footprint": ("write_greedy_text", "measure_footprint"),
    "interventions": ("decode_interventions", "judge_interventions"),
    "pivotality": ("sample_continuations", "judge_continuations"),
    "capability": ("sample_capability", "judge_capability"),
    "contamination": ("check_contamination",),
    "metrics": ("compute_metrics",),
    "report": ("render_report", "publish_report"),
}


def generation_job(config: Config, sampling: SamplingConfig, share: Mapping[str, Any]) -> str:
    """What a generation job is told, as one string: its own share only, never the whole."""
    job = sampling.model_dump(include=set(SamplingConfig.model_fields))
    return json.dumps({**job, **share, "engine": config.engine}, sort_keys=True)


def rollouts_job(config: Config, origin: str, shard: str) -> str:
    return generation_job(
        config, section_of(config, origin, "rollouts"), asdict(Shard.parse(shard))
    )


def evaluation_job(config: Config, benchmark: str, shard: str) -> str:
    first, last = map(int, shard[1:].split("-"))
    samples = {"first_sample": first, "samples": last - first + 1}
    return generation_job(config, protocol(config, benchmark)[0], samples)


def validation_job(config: Config) -> str:
    share = {"first_sample": 0, "samples": config.validation.samples}
    return generation_job(config, config.validation, share)


def teacher_job(config: Config, problems: int, samples: int) -> str:
    """A teacher's rollouts: sampled as the base's are."""
    share = {"first_sample": 0, "samples": samples, "first_problem": 0, "problems": problems}
    return generation_job(config, config.rollouts, share)


def reading_job(config: Config, run: str) -> str:
    """Which arms are read side by side, and where their evaluation lies."""
    arms = [config.base_arm, *main_arm(config)]
    return json.dumps(
        {
            **{"base": arms[0], "main": arms[-1]},
            "evaluation": {arm: evaluation_tables(config, run, arm) for arm in arms},
            "samples": {name: protocol(config, name)[1] for name in config.benchmarks},
        }
    )


def checkpoint_training(config: Config, arm: str) -> TrainingConfig:
    """Adapter and checkpoints of an arm that chooses among some, as the section `training`."""
    if config.arms[arm].kind == "grpo":
        training: TrainingConfig = config.section_of(arm, "grpo").as_training()
        return training
    own: TrainingConfig = config.section_of(arm, "training")
    return own


def targets(config: Config) -> list[str]:
    """All modules that some arm puts an adapter on."""
    sections = [config.training]
    for kind, name in (("trained", "training"), ("grpo", "grpo"), ("distilled", "distillation")):
        sections += [config.section_of(arm, name) for arm in config.of_kind(kind)]
    return sorted({target for section in sections for target in section.targets})
