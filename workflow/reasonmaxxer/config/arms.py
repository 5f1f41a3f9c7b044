"""The sections `arms` and `sweeps`: what is compared."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from ..method.kinds import KINDS, SECTIONS
from .model import ModelConfig, PromptConfig
from .section import Name, Section, Seed, explain, one_of

MOST_ARMS = 1000  # of one sweep
# What an arm without overlays shares with all others of its kind lies under this name.
SHARED = "main"
FOLDER = re.compile(r"[\w.,=+-]{1,80}")


class ArmConfig(Section):
    """One thing that is compared. Sections given here overlay the run's own."""

    kind: one_of(KINDS) = Field(  # type: ignore[valid-type]
        "trained",
        description="What the arm is. "
        + "; ".join(f"{name}: {kind.words}" for name, kind in KINDS.items())
        + ".",
    )
    title: str | None = Field(None, description="Its name in the report. Default: its key.")
    evaluate: list[Name] | None = Field(
        None,
        description="The benchmarks that it is evaluated on. Default: all. The base is evaluated "
        "on all of them in any case.",
    )
    model: ModelConfig | None = Field(
        None,
        description="With kind checkpoint: the public model. Its dtype and max_length are those "
        "of the run unless they are given.",
    )
    prompt: PromptConfig | None = Field(
        None,
        description="With kind checkpoint: a prompt of its own, on every benchmark. The arm is "
        "then shown as a marked row and compared with nothing, since compared arms share prompts.",
    )
    teacher: Name | None = Field(
        None, description="With kind distilled: the arm whose distributions are distilled."
    )
    seeds: list[Seed] | None = Field(
        None,
        min_length=1,
        description="Trains the arm once with each of these seeds, in all of its sections (for "
        "kind trained: rollouts, selection and training). The figures are those of all seeds "
        "together. The first seed keeps the arm's name: to add seeds to a finished run, put "
        "its seed first.",
    )
    rollouts: dict[str, Any] = Field(
        default_factory=dict, description="Keys of the section rollouts in which the arm differs."
    )
    selection: dict[str, Any] = Field(
        default_factory=dict, description="Keys of the section selection in which the arm differs."
    )
    training: dict[str, Any] = Field(
        default_factory=dict, description="Keys of the section training in which the arm differs."
    )
    grpo: dict[str, Any] = Field(
        default_factory=dict, description="Keys of the section grpo in which the arm differs."
    )
    distillation: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of the section distillation in which the arm differs.",
    )

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int] | None) -> list[int] | None:
        for seed in seeds or ():
            if (seeds or []).count(seed) > 1:
                raise ValueError(
                    f"{seed} is listed twice, but counts as one seed; remove one of the two"
                )
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
                raise ValueError(
                    f"{key} is required for kind {kind}, and not allowed for any other kind"
                )
        if self.prompt is not None and self.kind != "checkpoint":
            raise ValueError("prompt is only allowed for kind checkpoint")
        given = [name for name in SECTIONS if getattr(self, name)]
        own = KINDS[self.kind].sections or None
        if given and own is None:
            raise ValueError(
                f"an arm of kind '{self.kind}' is not trained, so it cannot override "
                f"'{given[0]}'; remove the section or give another kind"
            )
        for name in given:
            if name not in (own or ()):
                raise ValueError(
                    f"an arm of kind '{self.kind}' cannot override '{name}'; it may override: "
                    f"{', '.join(own or ())}"
                )
        if self.seeds is not None and own is None:
            raise ValueError(f"seeds: an arm of kind {self.kind} is not trained; leave them out")
        for name in given if self.seeds is not None else ():
            if "seed" in getattr(self, name):
                raise ValueError(f"{name}.seed: is set by seeds; leave one of the two out")
        if self.kind == "base" and self.evaluate is not None:
            raise ValueError(
                "evaluate: the base is evaluated on all benchmarks, since every arm is compared "
                "with it"
            )
        return self


class SweepConfig(Section):
    """Arms made from one: an arm for every combination of the grid's values.

    `{arm: reasonmaxxer, grid: {selection.tau: [0.2, 0.4]}}` makes `reasonmaxxer+tau=0.2` and
    `reasonmaxxer+tau=0.4`, each with the first seed of `arm`.
    """

    arm: str = Field(description="The arm that the new ones are made from.")
    grid: dict[
        Annotated[str, Field(pattern=rf"^({'|'.join(SECTIONS)})\.[a-z_]+$")],
        Annotated[list[Any], Field(min_length=1)],
    ] = Field(
        min_length=1,
        description="The keys to vary, as `section.key`, each with the list of its values.",
    )
    evaluate: list[Name] | None = Field(
        None,
        description="The benchmarks that the new arms are evaluated on. Default: those of `arm`.",
    )

    @field_validator("grid")
    @classmethod
    def _no_seeds(cls, grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for place in grid:
            if place.endswith(".seed"):
                raise ValueError(
                    f"{place}: a seed is not a setting to sweep over; give the arm "
                    f"seeds: {grid[place]} instead"
                )
        return grid

    @model_validator(mode="after")
    def _few(self) -> Self:
        count = math.prod(map(len, self.grid.values()))
        if count > MOST_ARMS:
            raise ValueError(f"grid: makes {count:,} arms, more than {MOST_ARMS:,}")
        return self

    def arms(self, start: Mapping[str, Any]) -> dict[str, Made]:
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
                f"arms.{name}: seeds or a sweep also make an arm of this name; "
                "rename or remove one of the two"
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
    sections = {name: {**(arm.get(name) or {}), "seed": seed} for name in KINDS[kind].sections}
    return {**{key: value for key, value in arm.items() if key != "seeds"}, **sections}


def _word(value: Any) -> str:
    """A setting's value as it stands in a name: [0.2, 0.8] is 0.2-0.8."""
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def folder_of(differences: Mapping[str, Any]) -> str:
    """A folder's name for what is not the run's own: in words where these may be a name."""
    words = ",".join(f"{key}={value}" for key, value in differences.items())
    if not words or FOLDER.fullmatch(words):
        return words or SHARED
    return hashlib.sha256(json.dumps(differences, sort_keys=True).encode()).hexdigest()[:12]
