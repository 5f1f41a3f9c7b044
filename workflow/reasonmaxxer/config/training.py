"""The sections that train: `training`, the LoRA; `grpo`; `distillation`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from ..method.objectives import OBJECTIVES
from .sampling import SamplingConfig, TopP
from .section import Count, Section, Seed, Share, check_steps, one_of

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]

Rank = Annotated[int, Field(ge=1, le=512)]
Modules = Annotated[list[str], Field(min_length=1)]
Checkpoints = Annotated[int, Field(ge=1, le=20)]
Dropout = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Probability with which an input of the LoRA is dropped in training.",
    ),
]
WeightDecay = Annotated[NonNegativeFloat, Field(description="Weight decay of AdamW.")]
MaxGradNorm = Annotated[
    PositiveFloat, Field(description="Gradients with a larger norm are scaled down to this norm.")
]


class TrainingConfig(Section):
    """The LoRA that is trained at decisions, and how."""

    rank: Rank = Field(
        32, description="Rank of the LoRA matrices: more can learn more and takes more memory."
    )
    alpha: PositiveFloat = Field(
        64, description="Scale of the LoRA: its output is multiplied by alpha / rank."
    )
    dropout: Dropout = 0.0
    target_modules: Modules = Field(
        ATTENTION,
        description="Names of the linear modules that get a LoRA, as the model's architecture "
        "calls them.",
    )
    sequences: Count = Field(
        1000,
        description="Number of rollouts trained on in all. The selected rollouts are passed over "
        "again, in a new order, until this number is reached.",
    )
    batch_size: Count = Field(8, description="Rollouts per optimiser step.")
    order: Literal["random", "magnitude"] = Field(
        "random",
        description="Order of the rollouts. magnitude: largest |advantage| x share of decisions "
        "first, the same in each epoch, as in the released scripts.",
    )
    learning_rate: PositiveFloat = Field(
        1e-4,
        description="Peak learning rate of AdamW. The first key to change where training learns "
        "too little or collapses.",
    )
    warmup_steps: NonNegativeInt = Field(
        50, description="Steps over which the learning rate rises linearly from 0 to its peak."
    )
    decay_steps: Count | None = Field(
        None,
        description="Step at which the linear decay of the learning rate reaches 0. Default: the "
        "last step.",
    )
    weight_decay: WeightDecay = 0.0
    max_grad_norm: MaxGradNorm = 1.0
    objective: one_of(OBJECTIVES) = Field(  # type: ignore[valid-type]
        "contrastive",
        description="What is minimised at a decision. contrastive: minus the advantage times the "
        "token's log-probability (Eq. 6); ratio: minus the advantage times the token's probability "
        "over the base's, which is bounded.",
    )
    anchor_weight: NonNegativeFloat = Field(
        0.2,
        description="lambda in L = L_decision + lambda L_anchor: how strongly all other positions "
        "are held to the base. 0 leaves the anchor out. Raise it where training collapses.",
    )
    advantage_clip: PositiveFloat = Field(
        2.5, description="Advantages are clipped to this absolute value."
    )
    probability_floor: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Tokens with a negative advantage are not pushed below this probability. "
        "Default: no floor, as in the paper. Set it where training collapses. Only for the "
        "objective contrastive.",
    )
    checkpoints: Checkpoints = Field(
        4,
        description="Number of evenly spaced checkpoints. The best of them on validation becomes "
        "the adapter.",
    )
    seed: Seed = Field(42, description="Seed of the LoRA's initialisation and of the order.")

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        steps = -(-self.sequences // self.batch_size)
        check_steps(steps, checkpoints=self.checkpoints, warmup_steps=self.warmup_steps)
        if self.objective != "contrastive" and self.probability_floor is not None:
            raise ValueError(
                f"probability_floor: the objective {self.objective} has no floor, since it is "
                "bounded by itself; set it to null"
            )
        if self.decay_steps is not None and self.decay_steps < steps:
            raise ValueError(
                f"decay_steps: {self.decay_steps} is before the last of the {steps} steps: the "
                "rest would train at a learning rate of 0"
            )
        return self


class GrpoConfig(SamplingConfig):
    """Reinforcement learning by TRL's GRPOTrainer with the verifier's rewards (kind grpo)."""

    temperature: Annotated[float, Field(gt=0, le=2)] = Field(
        1.0, description="Temperature of sampling."
    )
    top_p: TopP = Field(
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
    learning_rate: PositiveFloat = Field(
        1e-6, description="Learning rate of AdamW, constant after the warm-up."
    )
    warmup_steps: NonNegativeInt = Field(
        0, description="Steps over which the learning rate rises linearly from 0."
    )
    weight_decay: WeightDecay = 0.0
    max_grad_norm: MaxGradNorm = 1.0
    beta: NonNegativeFloat = Field(
        0.0, description="Weight of the KL divergence from the base. 0: none."
    )
    epsilon: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="The probability ratio is clipped to 1 - epsilon and 1 + epsilon."
    )
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = Field(
        "dapo", description="How TRL averages the loss over tokens and completions."
    )
    rank: Rank | None = Field(
        None, description="Rank of a LoRA. Default: no LoRA, all parameters are trained."
    )
    alpha: PositiveFloat = Field(
        64, description="With a rank: scale of the LoRA, as in the section training."
    )
    target_modules: Modules = Field(
        ATTENTION, description="With a rank: names of the linear modules that get a LoRA."
    )
    checkpoints: Checkpoints = Field(
        4,
        description="Number of evenly spaced checkpoints. The best of them on validation becomes "
        "the arm.",
    )

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        check_steps(self.steps, checkpoints=self.checkpoints, warmup_steps=self.warmup_steps)
        return self


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
    rank: Rank = Field(32, description="Rank of the LoRA. Its alpha is twice the rank.")
    dropout: Dropout = 0.05
    target_modules: Modules = Field(
        ATTENTION,
        description="Names of the linear modules that get a LoRA. The paper's W_O is `o_proj` "
        "alone.",
    )
    epochs: Count = Field(3, description="Passes over the teacher's rollouts.")
    batch_size: Count = Field(16, description="Rollouts per optimiser step.")
    learning_rate: PositiveFloat = Field(1e-4, description="Peak learning rate of AdamW.")
    warmup_ratio: Share = Field(
        0.1, description="Fraction of the steps over which the learning rate rises linearly."
    )
    weight_decay: WeightDecay = 0.01
    seed: Seed = Field(42, description="Seed of the LoRA's initialisation and of the order.")
