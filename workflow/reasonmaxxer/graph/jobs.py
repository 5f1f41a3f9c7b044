"""The jobs of each stage, and what each of them is told: its own share only, as one string."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..config import Config, GrpoConfig, SamplingConfig, TrainingConfig
from ..method.kinds import KINDS, MADE
from ..training.lr_schedule import of_grpo
from ..training.model_card import how
from .files import evaluation_tables, main_arm, model_of
from .protocol import VALIDATION, prompt_of_arm, protocol
from .shards import Shard, arm_of, section_of


def generation_job(config: Config, sampling: SamplingConfig, share: Mapping[str, Any]) -> str:
    """What a generation job is told, as one string: its own share only, never the whole."""
    job = sampling.model_dump(include=set(SamplingConfig.model_fields))
    return json.dumps({**job, **share, "engine": config.engine}, sort_keys=True)


def rollouts_job(config: Config, origin: str, shard: str) -> str:
    return generation_job(
        config,
        section_of(config, arm_of(config, "rollouts", origin), "rollouts"),
        asdict(Shard.parse(shard)),
    )


def selection_job(config: Config, origin: str) -> str:
    """How many rollouts of each problem count: a shard may hold more than are asked for."""
    rollouts = section_of(config, arm_of(config, "selection", origin), "rollouts")
    return json.dumps({"samples": rollouts.samples})


def evaluation_job(config: Config, benchmark: str, shard: str) -> str:
    first, last = map(int, shard[1:].split("-"))
    samples = {"first_sample": first, "samples": last - first + 1}
    return generation_job(config, protocol(config, benchmark)[0], samples)


def validation_job(config: Config) -> str:
    return generation_job(config, config.checkpoint, {"samples": config.checkpoint.samples})


def teacher_job(config: Config, problems: int, samples: int) -> str:
    """A teacher's rollouts: sampled as the base's are."""
    return generation_job(config, config.rollouts, {"problems": problems, "samples": samples})


def side_by_side_job(config: Config, run: str) -> str:
    """Which arms are read side by side, and where their evaluation lies."""
    arms = [config.base_arm, *main_arm(config)]
    return json.dumps(
        {
            **{"base": arms[0], "main": arms[-1]},
            "evaluation": {arm: evaluation_tables(config, run, arm) for arm in arms},
            "samples": {name: protocol(config, name)[1] for name in config.benchmarks_of(arms[-1])},
        }
    )


def checkpoint_training(config: Config, arm: str) -> TrainingConfig:
    """Adapter and checkpoints of an arm that chooses among some, as the section `training`."""
    name = KINDS[config.arms[arm].kind].checkpoints
    assert name is not None, arm
    own: TrainingConfig | GrpoConfig = config.section_of(arm, name)
    return of_grpo(own) if isinstance(own, GrpoConfig) else own


def checkpoint_options(config: Config, arm: str) -> str:
    """How the arm came about, and what it is to the run, as flags of the command that packs it.

    A run stops where the arm it is about has collapsed; that a control has is worth a page.
    """
    flags = f"--description {shlex.quote(how(config, arm))}"
    flags += "" if arm in main_arm(config) else " --keep-collapsed"
    return flags + (" --full-model" if config.is_whole(arm) else "")


def targets(config: Config) -> list[str]:
    """All modules that some arm puts an adapter on."""
    sections: list[Any] = [config.training]
    for name, arm in config.arms.items():
        sections += [config.section_of(name, key) for key in KINDS[arm.kind].sections[-1:]]
    return sorted({module for section in sections for module in section.target_modules})


def serves_adapters(config: Config) -> bool:
    """Whether vLLM gets adapters beside their model: on a GPU; a CPU's are merged into it."""
    made = config.of_kind(*MADE)
    return bool(config.resources.generation.gpu) and not all(map(config.is_whole, made))


def models(config: Config) -> list[dict[str, Any]]:
    """Every model that the run does not make itself, as the stage `preflight` looks at it.

    Each with the modules that get an adapter, the splits it is prompted with, and how many tokens
    of completion must fit behind a prompt; `teaches` says that its tokens must be the base's.
    """
    trained = [config.section_of(arm, "grpo").max_tokens for arm in config.of_kind("grpo")]
    lengths = {"train": max([config.rollouts.max_tokens, *trained])}
    for split in (VALIDATION, *config.benchmarks):
        lengths[split] = protocol(config, split)[0].max_tokens
    base = config.base_arm
    found: list[dict[str, Any]] = []
    for arm in (base, *config.of_kind("checkpoint")):
        own: dict[str, Any] = {"place": "model", "targets": targets(config)}
        if arm != base:
            own = {"place": f"arms.{arm}.model", "targets": [], "teaches": arm in teachers(config)}
        prompts = {
            split: {
                "prompt": prompt_of_arm(config, arm, split).model_dump(),
                "max_tokens": lengths[split],
            }
            for split in (lengths if arm == base else config.benchmarks_of(arm))
        }
        model = model_of(config, arm).model_dump(mode="json")
        found.append({**own, "model": model, "prompts": prompts, "engine": config.engine})
    return found


def teachers(config: Config) -> set[str]:
    """Arms whose distributions are compared with the base's, token by token."""
    named = {arm.teacher for arm in config.arms.values()}
    named |= {config.footprint.teacher} if config.footprint else set()
    return {name for name in named if name is not None}
