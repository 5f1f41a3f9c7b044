"""Sections of what is compared, and of what jobs ask for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from .inputs import ModelConfig, PromptConfig
from .section import Count, Name, Section

# The sections that an arm of a kind may overlay.
OVERLAYS = {
    "trained": ("rollouts", "selection", "training"),
    "grpo": ("grpo",),
    "distilled": ("distillation",),
}
MOST_ARMS = 1000  # of one sweep
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
    rollouts: dict[str, Any] = Field(default_factory=dict, description="Overlay of rollouts.")
    selection: dict[str, Any] = Field(default_factory=dict, description="Overlay of selection.")
    training: dict[str, Any] = Field(default_factory=dict, description="Overlay of training.")
    grpo: dict[str, Any] = Field(default_factory=dict, description="Overlay of grpo.")
    distillation: dict[str, Any] = Field(
        default_factory=dict, description="Overlay of distillation."
    )

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
        if self.kind == "base" and self.evaluate is not None:
            raise ValueError("evaluate: the base is compared with every arm, so it takes all")
        return self


class SweepConfig(Section):
    """Arms made from one: an arm for every combination of the grid's values.

    `{arm: reasonmaxxer, grid: {selection.tau: [0.2, 0.4]}}` makes `reasonmaxxer+tau=0.2` and
    `reasonmaxxer+tau=0.4`.
    """

    arm: str = Field(description="The arm whose overlays the new ones start from.")
    grid: dict[
        Annotated[str, Field(pattern=rf"^({'|'.join(SECTIONS)})\.[a-z_]+$")],
        Annotated[list[Any], Field(min_length=1)],
    ] = Field(min_length=1, description="`section.key` -> the values it takes.")
    evaluate: list[Name] | None = Field(
        None, description="Benchmarks the new arms are evaluated on; null: those of `arm`."
    )

    @model_validator(mode="after")
    def _few(self) -> Self:
        count = math.prod(map(len, self.grid.values()))
        if count > MOST_ARMS:
            raise ValueError(f"grid: makes {count:,} arms, more than {MOST_ARMS:,}")
        return self

    def arms(self, start: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The arms by name, each as a config would write it."""
        made = {}
        for values in itertools.product(*self.grid.values()):
            arm = dict(start)
            for place, value in zip(self.grid, values, strict=True):
                section, key = place.split(".")
                arm[section] = {**arm.get(section, {}), key: value}
            settings = [f"{k.split('.')[1]}={v}" for k, v in zip(self.grid, values, strict=True)]
            title = start.get("title") or self.arm
            arm["title"] = f"{title}, {', '.join(settings)}"
            if self.evaluate is not None:
                arm["evaluate"] = self.evaluate
            made["+".join([self.arm, *settings]).lower()] = arm
        return made


class Resources(Section):
    """What a job of a stage asks for. Never part of what makes a result."""

    threads: Count = Field(1, description="CPU cores.")
    mem_mb: Count = Field(4000, description="Memory.")
    runtime: Count = Field(60, description="Minutes.")
    gpu: Annotated[int, Field(ge=0)] = Field(0, description="GPUs.")
    batch_tokens: Count = Field(16384, description="Tokens in a batch of the scorer or trainer.")
    kv_cache_mb: Count = Field(1000, description="CPU engines: memory for the KV cache.")
    gpu_memory_percent: Annotated[int, Field(ge=1, le=100)] = Field(
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
