"""The section `grpo`: reinforcement learning, the yardstick."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .sampling import SamplingConfig
from .section import Count, Seed, check_steps


class GrpoConfig(SamplingConfig):
    """Reinforcement learning by TRL's GRPOTrainer with the verifier's rewards (kind grpo)."""

    temperature: Annotated[float, Field(gt=0, le=2)] = Field(
        1.0, description="Temperature of sampling."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="Nucleus sampling: tokens beyond this much probability are cut off."
    )
    seed: Seed = Field(
        42, description="Seed of sampling, of the order of problems, and of the LoRA if any."
    )
    steps: Count = Field(60, description="Optimiser steps. Each samples rollouts of its own.")
    prompts_per_step: Count = Field(16, description="Problems per step.")
    num_generations: Annotated[int, Field(ge=2)] = Field(
        8, description="Completions per problem: the group within which advantages are computed."
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        1e-6, description="Learning rate of AdamW, constant after the warm-up."
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(
        0, description="Steps over which the learning rate rises linearly from 0."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="Weight decay of AdamW.")
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(
        1.0, description="Gradients with a larger norm are scaled down to this norm."
    )
    beta: Annotated[float, Field(ge=0)] = Field(
        0.0, description="Weight of the KL divergence from the base. 0: none."
    )
    epsilon: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="The probability ratio is clipped to 1 - epsilon and 1 + epsilon."
    )
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = Field(
        "dapo", description="How TRL averages the loss over tokens and completions."
    )
    rank: Annotated[int, Field(ge=1, le=512)] | None = Field(
        None, description="Rank of a LoRA. Default: no LoRA, all parameters are trained."
    )
    alpha: Annotated[float, Field(gt=0)] = Field(
        64, description="With a rank: scale of the LoRA, as in the section training."
    )
    target_modules: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj"],
        min_length=1,
        description="With a rank: names of the linear modules that get a LoRA.",
    )
    checkpoints: Annotated[int, Field(ge=1, le=20)] = Field(
        4,
        description="Number of evenly spaced checkpoints. The best of them on validation becomes "
        "the arm.",
    )

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        check_steps(self.steps, checkpoints=self.checkpoints, warmup_steps=self.warmup_steps)
        return self
