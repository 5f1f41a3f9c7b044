"""The section `training`: the contrastive LoRA."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .section import Count, Section, Seed, check_steps


class TrainingConfig(Section):
    """The LoRA and its training by the contrastive objective."""

    rank: Annotated[int, Field(ge=1, le=512)] = Field(
        32, description="Rank of the LoRA matrices: more can learn more and takes more memory."
    )
    alpha: Annotated[float, Field(gt=0)] = Field(
        64, description="Scale of the LoRA: its output is multiplied by alpha / rank."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Probability with which an input of the LoRA is dropped in training."
    )
    target_modules: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj"],
        min_length=1,
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
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        1e-4,
        description="Peak learning rate of AdamW. The first key to change where training learns "
        "too little or collapses.",
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(
        50, description="Steps over which the learning rate rises linearly from 0 to its peak."
    )
    decay_steps: Count | None = Field(
        None,
        description="Step at which the linear decay of the learning rate reaches 0. Default: the "
        "last step.",
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="Weight decay of AdamW.")
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(
        1.0, description="Gradients with a larger norm are scaled down to this norm."
    )
    anchor_weight: Annotated[float, Field(ge=0)] = Field(
        0.2,
        description="lambda in L = L_decision + lambda L_anchor: how strongly all other positions "
        "are held to the base. 0 leaves the anchor out. Raise it where training collapses.",
    )
    advantage_clip: Annotated[float, Field(gt=0)] = Field(
        2.5, description="Advantages are clipped to this absolute value."
    )
    probability_floor: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Tokens with a negative advantage are not pushed below this probability. "
        "Default: no floor, as in the paper. Set it where training collapses.",
    )
    checkpoints: Annotated[int, Field(ge=1, le=20)] = Field(
        4,
        description="Number of evenly spaced checkpoints. The best of them on validation becomes "
        "the adapter.",
    )
    seed: Seed = Field(42, description="Seed of the LoRA's initialisation and of the order.")

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        steps = -(-self.sequences // self.batch_size)
        check_steps(steps, checkpoints=self.checkpoints, warmup_steps=self.warmup_steps)
        if self.decay_steps is not None and self.decay_steps < steps:
            raise ValueError(
                f"decay_steps: {self.decay_steps} is before the last of the {steps} steps: the "
                "rest would train at a learning rate of 0"
            )
        return self
