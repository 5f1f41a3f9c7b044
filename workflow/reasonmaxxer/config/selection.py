"""The sections `entropies` and `selection`: what is recorded of each position, and what trains."""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, model_validator

from ..method.advantages import ADVANTAGES
from ..method.credit import CREDIT
from ..method.gates import GATES
from .section import Count, Section, Seed, Share, one_of


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


# An arm that gives one of them takes the place of the run's, whichever that is.
THRESHOLDS = ("tau", "top_fraction", "entropy_share")


class SelectionConfig(Section):
    """Problems, advantages, credit and the gate.

    The gate's threshold is exactly one of `tau`, `top_fraction` and `entropy_share`.
    """

    problems: Count | None = Field(
        50,
        description="Number of mixed-success problems to train on, those with a pass rate nearest "
        "to 0.5. null: all.",
    )
    window: tuple[Share, Share] = Field(
        (0.0, 1.0),
        description="Keeps only problems whose pass rate lies strictly between these two values.",
    )
    min_problems: Count = Field(
        1, description="Stops with an error if fewer problems than this have mixed success."
    )
    min_forecast: Share = Field(
        0.01,
        description="Stops with an error, before anything is trained, if even the upper end of the "
        "forecast gain in pass rate is below this share. 0: trains all the same.",
    )
    truncated: Literal["wrong", "keep", "drop"] = Field(
        "wrong",
        description="What to do with rollouts that were cut off at the token limit. wrong: count "
        "them as wrong; keep: keep their verdict; drop: leave them out.",
    )
    trim_longest: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="Fraction of the longest rollouts to leave out (the released scripts: 0.2).",
    )
    advantages: one_of(ADVANTAGES) = Field(  # type: ignore[valid-type]
        "group",
        description="How a rollout's advantage is computed. group: reward minus the problem's "
        "mean, divided by its standard deviation (Eq. 5); positive: 1 for correct rollouts, "
        "others are left out; shuffled: as group, but assigned at random among a problem's "
        "rollouts (a control).",
    )
    credit: one_of(CREDIT) = Field(  # type: ignore[valid-type]
        "rollout",
        description="Which advantage each decision of a rollout gets. rollout: the rollout's, as "
        "in the paper; prefix: what its token changed, by the other rollouts of the problem that "
        "begin with the same tokens. With advantages positive both are 1.",
    )
    gate: one_of(GATES) = Field(  # type: ignore[valid-type]
        "entropy",
        description="Which positions are decisions. entropy: those whose entropy exceeds the "
        "threshold (`tau`, `top_fraction` or `entropy_share`); all: every position. The "
        "others take as many positions of each rollout as the entropy gate would: pivotal, those "
        "with the largest credit by shared prefixes; the controls random, low-entropy, first and "
        "last.",
    )
    tau: NonNegativeFloat | None = Field(
        None,
        description="Threshold of the entropy gate, in nats: a position with a higher entropy is "
        "a decision.",
    )
    top_fraction: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Instead of tau: the fraction of all positions that are decisions, those with "
        "the highest entropy.",
    )
    entropy_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Instead of tau: the decisions are the fewest positions that hold this "
        "fraction of the entropy of all. It carries over between models better than the others.",
    )
    seed: Seed = Field(
        42, description="Seed of the random gate and of shuffled advantages; otherwise unused."
    )

    @property
    def draws(self) -> bool:
        """Whether anything is drawn, so that `seed` counts."""
        return GATES[self.gate].draws or ADVANTAGES[self.advantages].draws

    def as_json(self) -> str:
        """The same without a seed that draws nothing, so that nothing runs again for it."""
        left_out = set() if self.draws else {"seed"}
        return json.dumps(self.model_dump(mode="json", exclude=left_out), sort_keys=True)

    @model_validator(mode="after")
    def _threshold(self) -> Self:
        if sum(getattr(self, key) is not None for key in THRESHOLDS) != 1:
            raise ValueError(
                "give exactly one of tau (nats), top_fraction (of all positions) and "
                "entropy_share (of all entropy); a file that is laid over another one with another "
                "threshold sets that to null"
            )
        if self.gate == "pivotal" and self.credit != "prefix":
            raise ValueError(
                "gate pivotal ranks positions by their credit, which is one for all of a rollout "
                "unless it is assigned by prefix; set credit: prefix"
            )
        if self.window[0] >= self.window[1]:
            raise ValueError("window: the first value must be below the second")
        return self
