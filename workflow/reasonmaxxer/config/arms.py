"""Sections of what is compared, and of what jobs ask for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from .inputs import ModelConfig, PromptConfig
from .section import Count, Name, Section, Seed, explain

# The sections that an arm of a kind may overlay.
OVERLAYS = {
    "trained": ("rollouts", "selection", "training"),
    "grpo": ("grpo",),
    "distilled": ("distillation",),
}
SECTIONS = tuple(name for names in OVERLAYS.values() for name in names)


class ArmConfig(Section):
    """One thing that is compared. Sections given here overlay the run's own."""

    kind: Literal["base", "trained", "grpo", "distilled", "checkpoint"] = Field(
        "trained",
        description="base: the frozen model. trained: an adapter of ours. grpo: reinforcement "
        "learning from the base. distilled: `teacher` in a LoRA. checkpoint: `model`.",
    )
    title: str | None = Field(None, description="Its name in the report.")
    evaluate: list[Name] | None = Field(
        None, description="Benchmarks it is evaluated on; null: all. The base takes all."
    )
    model: ModelConfig | None = Field(
        None,
        description="With kind checkpoint: the model; dtype and max_length default to the run's.",
    )
    prompt: PromptConfig | None = Field(
        None,
        description="With kind checkpoint: its own prompt, on every benchmark. The arm is shown as "
        "a marked row and compared with nothing; an arm that is compared has the benchmarks'.",
    )
    teacher: Name | None = Field(None, description="With kind distilled: the arm distilled.")
    seeds: list[Seed] | None = Field(
        None,
        min_length=1,
        description="Makes the arm once with each of these seeds, in all of its sections (for kind "
        "trained: rollouts, selection and training). The first keeps the arm's name, so put the "
        "seed of a finished run first. The figures are those of all seeds together.",
    )
    rollouts: dict[str, Any] = Field(default_factory=dict, description="Overlay of rollouts.")
    selection: dict[str, Any] = Field(default_factory=dict, description="Overlay of selection.")
    training: dict[str, Any] = Field(default_factory=dict, description="Overlay of training.")
    grpo: dict[str, Any] = Field(default_factory=dict, description="Overlay of grpo.")
    distillation: dict[str, Any] = Field(
        default_factory=dict, description="Overlay of distillation."
    )

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int] | None) -> list[int] | None:
        for seed in seeds or ():
            if (seeds or []).count(seed) > 1:
                raise ValueError(f"{seed} stands there twice, and is one seed; leave one out")
        return seeds

    @field_validator(*SECTIONS)
    @classmethod
    def _sorted(cls, overlay: dict[str, Any]) -> dict[str, Any]:
        """The order of keys says nothing, and must not look like a change."""
        return dict(sorted(overlay.items()))

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        for key, kind in (("model", "checkpoint"), ("teacher", "distilled")):
            if (self.kind == kind) != (getattr(self, key) is not None):
                raise ValueError(f"{key} goes with kind {kind}, and only there")
        if self.prompt is not None and self.kind != "checkpoint":
            raise ValueError("prompt goes with kind checkpoint, and only there")
        given = [name for name in SECTIONS if getattr(self, name)]
        own = OVERLAYS.get(self.kind)
        if given and own is None:
            raise ValueError(f"an arm of kind {self.kind} is not trained: no overlays")
        for name in given:
            if name not in (own or ()):
                raise ValueError(f"{name} is no section of an arm of kind {self.kind}")
        if self.seeds is not None and own is None:
            raise ValueError(f"seeds: an arm of kind {self.kind} is not trained; leave them out")
        for name in given if self.seeds is not None else ():
            if "seed" in getattr(self, name):
                raise ValueError(f"{name}.seed: is set by seeds; leave one of the two out")
        if self.kind == "base" and self.evaluate is not None:
            raise ValueError("evaluate: the base is compared with every arm, so it takes all")
        return self


class SweepConfig(Section):
    """Arms made from one: an arm for every combination of the grid's values.

    `{arm: reasonmaxxer, grid: {selection.tau: [0.2, 0.4]}}` makes `reasonmaxxer+tau=0.2` and
    `reasonmaxxer+tau=0.4`, each with the first seed of `arm`.
    """

    arm: str = Field(description="The arm whose overlays the new ones start from.")
    grid: dict[
        Annotated[str, Field(pattern=rf"^({'|'.join(SECTIONS)})\.[a-z_]+$")],
        Annotated[list[Any], Field(min_length=1)],
    ] = Field(min_length=1, description="`section.key` -> the values it takes.")
    evaluate: list[Name] | None = Field(
        None, description="Benchmarks the new arms are evaluated on; null: those of `arm`."
    )

    @field_validator("grid")
    @classmethod
    def _no_seeds(cls, grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for place in grid:
            if place.endswith(".seed"):
                raise ValueError(
                    f"{place}: a seed is no setting; give the arm seeds: {grid[place]} instead"
                )
        return grid

    def arms(self, start: Mapping[str, Any]) -> dict[str, Made]:
        """The arms by name."""
        made = {}
        for values in itertools.product(*self.grid.values()):
            arm = dict(start)
            for place, value in zip(self.grid, values, strict=True):
                section, key = place.split(".")
                arm[section] = {**(arm.get(section) or {}), key: value}
            swept = dict(zip(self.grid, values, strict=True))
            settings = [f"{place.split('.')[1]}={_word(v)}" for place, v in swept.items()]
            arm["title"] = f"{start.get('title') or self.arm}, {', '.join(settings)}"
            if self.evaluate is not None:
                arm["evaluate"] = self.evaluate
            name = "+".join([self.arm, *settings]).lower()
            made[name] = Made(arm, line=name, start=self.arm, swept=swept)
        return made


@dataclass(frozen=True)
class Made:
    """An arm as a config would write it, and how it came about.

    `line` is the arm whose seeds it is one of, itself where there are none; `start` and `swept`
    are the arm that a sweep made it from, and the settings that it changed.
    """

    arm: Any
    line: str
    start: str | None = None
    swept: Mapping[str, Any] = field(default_factory=dict)


def made_arms(given: Mapping[str, Any], sweeps: Sequence[Any]) -> dict[str, Made]:
    """All arms of a config: each once a seed, then those of the sweeps. Raises `ValueError`."""
    found: dict[str, Made] = {}
    for name, arm in given.items():
        _add(found, _seeded(name, arm), given)
    for item in sweeps:
        try:
            sweep = SweepConfig.model_validate(item)
        except ValidationError as error:
            raise ValueError(explain(error, SweepConfig, "sweeps")) from error
        if sweep.arm not in found:
            raise ValueError(f"sweeps: arm: no arm '{sweep.arm}' under arms")
        _add(found, sweep.arms(found[sweep.arm].arm or {}), given)
    return found


def _add(found: dict[str, Made], made: Mapping[str, Made], given: Mapping[str, Any]) -> None:
    for name, one in made.items():
        if name in found or (name in given and name != one.line):
            raise ValueError(
                f"arms.{name}: seeds or a sweep make another arm of this name; leave one out"
            )
    found |= made


def _seeded(name: str, arm: Any) -> dict[str, Made]:
    """The arm with each of its seeds, the first under its own name."""
    if not isinstance(arm, Mapping) or arm.get("seeds") is None:
        return {name: Made(arm, line=name)}
    try:
        checked = ArmConfig.model_validate(arm)
    except ValidationError as error:
        raise ValueError(explain(error, ArmConfig, f"arms.{name}")) from error
    first, *others = checked.seeds or []
    found = {name: Made(_with_seed(checked.kind, arm, first), line=name)}
    for seed in others:
        one = _with_seed(checked.kind, arm, seed)
        one["title"] = f"{arm.get('title') or name}, seed={seed}"
        found[f"{name}+seed={seed}"] = Made(one, line=name)
    return found


def _with_seed(kind: str, arm: Mapping[str, Any], seed: int) -> dict[str, Any]:
    sections = {name: {**(arm.get(name) or {}), "seed": seed} for name in OVERLAYS[kind]}
    return {**{key: value for key, value in arm.items() if key != "seeds"}, **sections}


def _word(value: Any) -> str:
    """A setting's value as it stands in a name: [0.2, 0.8] is 0.2-0.8."""
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


class Resources(Section):
    """What a job of a stage asks for. Never part of what makes a result."""

    threads: Count = Field(1, description="CPU cores.")
    mem_mb: Count = Field(4000, description="Memory.")
    runtime: Count = Field(60, description="Minutes.")
    gpu: Annotated[int, Field(ge=0)] = Field(0, description="GPUs.")
    batch_tokens: Count = Field(16384, description="Tokens in a batch of the scorer or trainer.")
    kv_cache_mb: Count = Field(1000, description="CPU engines: memory for the KV cache.")
    gpu_memory_utilization: Annotated[int, Field(ge=1, le=100)] = Field(
        90, description="GPU engines: share of the GPU's memory taken."
    )
    tensor_parallel: Count = Field(1, description="GPU engines: vLLM's tensor parallel size.")
    pipeline_parallel: Count = Field(1, description="GPU engines: vLLM's pipeline parallel size.")
    processes: Count = Field(
        1,
        description="The trainer's processes, started by torchrun; on GPUs one each. GRPO and "
        "distillation are one process, on one GPU.",
    )

    @model_validator(mode="after")
    def _fits_gpus(self) -> Self:
        for keys in (("tensor_parallel", "pipeline_parallel"), ("processes",)):
            wanted = math.prod(getattr(self, key) for key in keys)
            if self.gpu and wanted not in (1, self.gpu):
                raise ValueError(f"gpu: {self.gpu}, but {' x '.join(keys)} = {wanted}")
        return self


class ResourcesConfig(Section):
    generation: Resources = Field(
        Resources(), description="Rollouts, checkpoint choice and evaluation."
    )
    verdicts: Resources = Field(Resources(threads=2, mem_mb=3000), description="The verifier.")
    entropies: Resources = Field(Resources(), description="The scorer.")
    training: Resources = Field(Resources(), description="The trainer.")
    light: Resources = Field(
        Resources(mem_mb=2000, runtime=20), description="Problems, selection, metrics, report."
    )

    @model_validator(mode="after")
    def _uses_its_gpus(self) -> Self:
        parallel = self.generation.tensor_parallel * self.generation.pipeline_parallel
        used = {
            "generation": (parallel, "raise tensor_parallel or pipeline_parallel, or"),
            "verdicts": (0, "so"),
            "entropies": (1, "so"),
            "training": (self.training.processes, "raise processes, or"),
            "light": (0, "so"),
        }
        for stage, (most, remedy) in used.items():
            asked = getattr(self, stage).gpu
            if asked > most:
                raise ValueError(
                    f"{stage}.gpu: {asked}, but its jobs use {most}: {remedy} set gpu to {most}"
                )
        return self

    @property
    def gpus(self) -> int:
        """Most GPUs that a job asks for."""
        return max(self.generation.gpu, self.entropies.gpu, self.training.gpu)

    def of(self, stage: str) -> dict[str, int]:
        """What a stage's jobs ask for beside their threads."""
        return getattr(self, stage).model_dump(exclude={"threads"})
