"""The section `rollouts`: completions of the training problems by the frozen base."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .sampling import SamplingConfig
from .section import Count


class RolloutsConfig(SamplingConfig):
    """Sampling from the frozen base (the paper: K = 20, temperature 0.6, top-p 0.95)."""

    samples: Annotated[int, Field(ge=2)] = Field(
        20,
        description="K, the number of completions per problem. Raising it by whole shards keeps "
        "what was sampled.",
    )
    problems_per_shard: Count = Field(
        500,
        description="Problems per job. Each job starts an engine: lower it only to use several "
        "GPUs at once.",
    )
    samples_per_shard: Count = Field(
        20, description="Samples of each problem per job. Like problems_per_shard."
    )
