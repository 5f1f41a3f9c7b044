"""The objectives: what each decision adds to the loss.

Functions of tensors that need no import of torch, so that a config can name them quickly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# A token that the base gives less than a twentieth may still count twenty times at most.
MAX_RATIO = 20.0

# Of log p_theta(x_t), log p_base(x_t) and A_t, each [D] float32, and the floor: the terms [D].
Term = Callable[["Tensor", "Tensor", "Tensor", "float | None"], "Tensor"]


@dataclass(frozen=True)
class Objective:
    """How a decision is rewarded, and what is said about it."""

    term: Term
    words: str  # as model cards say it: "trained offline by <words>"


def contrastive(
    logprobs: Tensor, base_logprobs: Tensor, advantages: Tensor, floor: float | None
) -> Tensor:
    """- A_t log p_theta(x_t), the paper's (Eq. 6).

    A negative advantage gains without end as p falls to 0, unless it cannot push below `floor`.
    """
    if floor is not None:
        logprobs = logprobs.clamp(min=math.log(floor)).where(advantages < 0, logprobs)
    return -advantages * logprobs


def ratio(
    logprobs: Tensor, base_logprobs: Tensor, advantages: Tensor, floor: float | None
) -> Tensor:
    """- A_t p_theta(x_t) / p_base(x_t): the expected advantage of the trained model's own choice.

    Over tokens that the base sampled, its mean is E[A] under p_theta by importance sampling (the
    surrogate of conservative policy iteration, Kakade and Langford 2002, that PPO clips). It is
    bounded on both sides: a suppressed token has nothing more to lose as p falls to 0.
    """
    return -advantages * (logprobs - base_logprobs).exp().clamp(max=MAX_RATIO)


OBJECTIVES = {
    "contrastive": Objective(contrastive, words="the objective of arXiv 2605.06241"),
    "ratio": Objective(
        ratio, words="importance-weighted advantages with the gate and anchor of arXiv 2605.06241"
    ),
}
