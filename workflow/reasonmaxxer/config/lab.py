"""Options of the lab: which problems a source draws, and how its base model is pretrained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .section import Section

Number = Literal[1, 2, 3, 4, 5, 6]


class LabSource(Section):
    """Problems of the lab's generator; the split's own recipe holds where nothing is set."""

    world: Number = Field(
        default=1,
        description="Names, shares and kinds of fork. Each world has a base model of its own.",
    )
    seed: int = Field(
        1, description="Seed of the drawing; the first problems do not depend on how many."
    )
    suite: str | None = Field(
        default=None,
        description="The generator's split (train, validation, short, ...); null takes the name "
        "under which the source stands in the config.",
    )
    steps: tuple[int, int] | None = Field(
        default=None,
        description="Fewest and most steps of a problem (1 to 7); null is the split's own range.",
    )


class PretrainConfig(Section):
    """Pretraining of a lab base model: everything but the seed."""

    world: Number = Field(1, description="World whose worked problems are the corpus.")
    tokens: int = Field(20_000_000, ge=10_000, description="Tokens to train on, prompts included.")
    layers: int = Field(4, ge=1, description="Transformer layers.")
    width: int = Field(128, ge=32, multiple_of=32, description="Width; attention heads are of 32.")
    intermediate: int = Field(384, ge=32, description="Width of the gated feed-forward layer.")
    batch_tokens: int = Field(4096, ge=512, description="Tokens of a batch, padding included.")
    learning_rate: float = Field(3e-3, gt=0, description="Peak learning rate of AdamW.")
    warmup_steps: int = Field(200, ge=0, description="Steps of linear warm-up before the decay.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay of the matrices.")
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")


# How the base of each world is pretrained. Two of them differ in size: a weaker, which sees half as
# much, and a larger, of four million parameters, which learns from half as much.
BASES = {
    **{number: PretrainConfig(world=number) for number in (1, 2, 3, 4)},
    5: PretrainConfig(world=5, layers=3, width=96, intermediate=288, tokens=10_000_000),
    6: PretrainConfig(world=6, layers=6, width=224, intermediate=672, tokens=10_000_000),
}
