"""The section of the footprint analysis: a teacher held against the base, position by position."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .section import Count, Name, Section, Seed


class PivotalityConfig(Section):
    """Continuations from the likeliest tokens of single positions: which choices matter."""

    positions: Annotated[int, Field(ge=2)] = Field(
        300,
        description="Positions of the base's rollouts on problems of mixed success, half of them "
        "above the threshold.",
    )
    alternatives: Annotated[int, Field(ge=2)] = Field(
        3, description="Likeliest tokens tried at each; at most entropies.top_k."
    )
    continuations: Annotated[int, Field(ge=2)] = Field(
        16, description="Completions sampled behind each of them."
    )
    margin: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5,
        description="A position is pivotal if its best and its worst alternative differ by this "
        "much in the share of right completions.",
    )
    seed: Seed = Field(46, description="Seed of positions and sampling.")


class CapabilityConfig(Section):
    """Many samples of base, teacher and the run's main arm: pass@k up to half of them."""

    problems: Count = Field(100, description="The first problems of the benchmark.")
    samples: Annotated[int, Field(ge=2)] = Field(128, description="Completions a problem and arm.")
    seed: Seed = Field(47, description="Seed of sampling.")


class FootprintConfig(Section):
    """Where a teacher (an RL arm, or any other) departs from the base, and what that does."""

    teacher: Name = Field(description="The arm whose choices are held against the base's.")
    benchmark: Name = Field(description="Whose problems the base writes the greedy text on.")
    problems: Count | None = Field(None, description="Only its first problems; null: all.")
    samples: Count = Field(
        4, description="Rollouts of each training problem that are measured beside greedy text."
    )
    tau: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Threshold of the entropy gate, in nats; null: selection.tau."
    )
    top_tokens: Annotated[int, Field(ge=2)] = Field(
        20, description="The random-token control draws among so many of the base's likeliest."
    )
    seed: Seed = Field(45, description="Seed of random positions and tokens.")
    pivotality: PivotalityConfig | None = Field(
        PivotalityConfig(), description="null leaves it out."
    )
    capability: CapabilityConfig | None = Field(
        CapabilityConfig(), description="null leaves it out."
    )
