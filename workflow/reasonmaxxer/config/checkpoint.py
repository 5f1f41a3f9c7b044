"""The section `checkpoint`: how the best checkpoint of an arm is chosen."""

from __future__ import annotations

from pydantic import Field

from .sampling import SamplingConfig
from .section import Count, Seed, Share


class CheckpointConfig(SamplingConfig):
    """The checkpoint with the best pass@1 on the validation problems becomes the arm."""

    samples: Count = Field(
        4,
        description="Completions per validation problem and checkpoint. More tell close "
        "checkpoints apart and cost as much more.",
    )
    seed: Seed = Field(43, description="Seed of sampling.")
    min_parseable: Share = Field(
        0.5,
        description="A checkpoint has collapsed, and is not chosen, if its share of parseable "
        "answers falls below this fraction of the base's. If every checkpoint has collapsed: the "
        "main arm stops with an error; any other arm keeps its best one.",
    )
