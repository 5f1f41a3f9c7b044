"""What every section that samples completions has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .section import Count, Section, Seed


class SamplingConfig(Section):
    """How completions are sampled."""

    temperature: Annotated[float, Field(ge=0, le=2)] = Field(
        0.6, description="Temperature of sampling; 0 always takes the likeliest token."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        0.95, description="Nucleus sampling: tokens beyond this much probability are cut off."
    )
    max_tokens: Count = Field(
        4096,
        description="Largest number of tokens of a completion. A completion that reaches it is "
        "cut off and usually wrong: raise it where many are.",
    )
    seed: Seed = Field(42, description="Seed of sampling.")
