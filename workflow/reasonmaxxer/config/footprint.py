"""The section `footprint`: a teacher compared with the base, position by position."""

from typing import Annotated

from pydantic import Field

from .section import Count, Name, Section, Seed


class PivotalityConfig(Section):
    """Continuations from the likeliest tokens of single positions: which choices matter."""

    positions: Annotated[int, Field(ge=2)] = Field(
        300,
        description="Number of positions, drawn from the base's rollouts on problems of mixed "
        "success, half of them above the threshold.",
    )
    alternatives: Annotated[int, Field(ge=2)] = Field(
        3,
        description="Number of likeliest tokens tried at each position; at most entropies.top_k.",
    )
    continuations: Annotated[int, Field(ge=2)] = Field(
        16, description="Completions sampled after each alternative."
    )
    margin: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5,
        description="A position is pivotal if the share of right completions differs by at least "
        "this much between its best and its worst alternative.",
    )
    seed: Seed = Field(46, description="Seed of the positions and of sampling.")


class CapabilityConfig(Section):
    """Many samples of base, teacher and main arm: pass@k up to half their number."""

    problems: Count = Field(100, description="Number of problems: the first ones of the benchmark.")
    samples: Annotated[int, Field(ge=2)] = Field(
        128, description="Completions per problem and arm."
    )
    seed: Seed = Field(47, description="Seed of sampling.")


class FootprintConfig(Section):
    """Where a teacher (an RL arm, or any other) departs from the base, and what that does."""

    teacher: Name = Field(description="The arm whose choices are compared with the base's.")
    benchmark: Name = Field(
        description="The benchmark on whose problems the base writes its greedy text."
    )
    problems: Count | None = Field(
        None, description="Number of problems: the first ones of the benchmark. Default: all."
    )
    samples: Count = Field(
        4,
        description="Rollouts of each training problem that are measured beside the greedy text.",
    )
    interventions: Count | None = Field(
        50,
        description="Number of problems whose text is decoded with tokens put in, one token after "
        "the other: the first ones, as many as in the paper. null: all of `problems`.",
    )
    edits: list[Count] = Field(
        [],
        description="Most tokens of a text that are exchanged, such as [1, 2, 4, 8], for a curve "
        "in both directions: the teacher's put into the base's text, the base's put into the "
        "teacher's. Each number decodes all texts twice. Default: no curve.",
    )
    tau: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="Threshold of the entropy gate, in nats. Default: selection.tau; required "
        "where selection has another threshold.",
    )
    top_tokens: Annotated[int, Field(ge=2)] = Field(
        20,
        description="The random-token control draws among this many of the base's likeliest "
        "tokens.",
    )
    seed: Seed = Field(45, description="Seed of the random positions and tokens.")
    pivotality: PivotalityConfig | None = Field(
        PivotalityConfig(), description="Which choices matter. null leaves it out."
    )
    capability: CapabilityConfig | None = Field(
        CapabilityConfig(), description="pass@k with many samples. null leaves it out."
    )
