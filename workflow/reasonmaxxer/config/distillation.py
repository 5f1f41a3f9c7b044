"""The section `distillation`: another arm's distributions in a small LoRA."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .section import Count, Section, Seed, Share


class DistillationConfig(Section):
    """A teacher arm's next-token distributions distilled into a LoRA (Eq. 4; kind distilled)."""

    problems: Count = Field(
        100, description="Number of training problems that the teacher works for the student."
    )
    samples: Count = Field(1, description="The teacher's rollouts per problem.")
    top_k: Annotated[int, Field(ge=1)] = Field(
        64,
        description="Number of the teacher's likeliest tokens that its distribution is cut to.",
    )
    rank: Annotated[int, Field(ge=1, le=512)] = Field(
        32, description="Rank of the LoRA. Its alpha is twice the rank."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05, description="Probability with which an input of the LoRA is dropped in training."
    )
    target_modules: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj"],
        min_length=1,
        description="Names of the linear modules that get a LoRA. The paper's W_O is `o_proj` "
        "alone.",
    )
    epochs: Count = Field(3, description="Passes over the teacher's rollouts.")
    batch_size: Count = Field(16, description="Rollouts per optimiser step.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        1e-4, description="Peak learning rate of AdamW."
    )
    warmup_ratio: Share = Field(
        0.1, description="Fraction of the steps over which the learning rate rises linearly."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.01, description="Weight decay of AdamW.")
    seed: Seed = Field(42, description="Seed of the LoRA's initialisation and of the order.")
