"""The section `entropies`: scoring of the rollouts under the base."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .section import Section


class EntropiesConfig(Section):
    """The scorer: what is recorded of the base at each position of a rollout."""

    top_k: Annotated[int, Field(ge=1, le=64)] = Field(
        5,
        description="Number of likeliest tokens recorded at each position. Raise it for a "
        "pivotality analysis with more alternatives.",
    )
    cache_hidden_states: bool = Field(
        False,
        description="Whether to store the base's hidden states for the trainer. Saves a third of "
        "the training compute; costs hidden_size x 2 or 4 bytes of disk per token. In half "
        "precision the anchor loss then starts at rounding error instead of zero.",
    )
