"""The contrastive objective, written as the paper writes it.

    L_dec    = - mean over decisions t of  A log p_theta(x_t)                       (Eq. 6)
    L_anchor =   mean over the other positions of  KL(p_base || p_theta)            (Eq. 7)
    L        =   L_dec + lambda L_anchor

Means are taken within a rollout, then over the rollouts of an optimiser step. The anchor holds
every prediction position that is not a decision, those of the prompt included.

In the shapes below B are rollouts, T the tokens of the longest, D decisions and N anchors of a
batch, and H is the model's width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..config import TrainingConfig
from ..modeling.lm_head import Head, kl_divergence, sampled_logprobs

# Numbers of anchors are rounded up to this, so that they come in few shapes (`cpu_kernels`).
ANCHOR_STEP = 64


@dataclass(frozen=True)
class Rollout:
    """A training sequence: ids of prompt and completion, its advantage (Eq. 5), its decisions."""

    ids: np.ndarray  # [T] int64, the prompt's first
    prompt_length: int  # at least 1
    advantage: float
    positions: np.ndarray  # [D] int64, decisions, 0-based in the completion, ascending
    problem: str = ""
    sample: int = 0

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it apart: problem, sample, and its length to be sure."""
        return self.problem, self.sample, len(self.ids)

    @property
    def decision_share(self) -> float:
        """Decisions per token of the completion, between 0 and 1."""
        return len(self.positions) / max(len(self.ids) - self.prompt_length, 1)


@dataclass(frozen=True)
class Rows:
    """The prediction rows of a batch: flat indices into [B * T] hidden states, and weights.

    The hidden state at index i predicts token i + 1. `*_weights` are one over the number of such
    rows in the rollout: a weighted sum over the batch is a sum over rollouts of means. Some anchors
    may weigh nothing: they make their number round.
    """

    decisions: Tensor  # [D] int64
    targets: Tensor  # [D] int64, the sampled tokens
    advantages: Tensor  # [D] float32, not yet clipped
    decision_weights: Tensor  # [D] float32
    anchors: Tensor  # [N] int64
    anchor_weights: Tensor  # [N] float32


@dataclass(frozen=True)
class Losses:
    """Sums over the rollouts of a batch, and log-probs of the decisions under both models, in nats.

    Only `total` has a gradient.
    """

    total: Tensor  # []
    decision: Tensor  # []
    anchor: Tensor  # []
    logprobs: Tensor  # [D]
    base_logprobs: Tensor  # [D]


def contrastive_loss(
    head: Head, hidden: Tensor, base_hidden: Tensor, rows: Rows, config: TrainingConfig
) -> Losses:
    """L, summed over the rollouts of a batch (Eq. 6 and 7).

    Args:
        head: the output projection of both models.
        hidden: [B, T, H] of the trained model; `total` is differentiable with respect to it.
        base_hidden: [B, T, H] of the base, constant.
        rows: the batch's decisions and anchors.
        config: `anchor_weight` (lambda), `advantage_clip` and `probability_floor`.

    Returns:
        The losses, float32 and in nats.
    """
    hidden, base_hidden = hidden.flatten(0, 1), base_hidden.flatten(0, 1)

    logprobs = sampled_logprobs(head, hidden[rows.decisions], rows.targets)
    advantages = rows.advantages.clamp(-config.advantage_clip, config.advantage_clip)
    bounded = _floored(logprobs, advantages, config.probability_floor)
    decision = -(rows.decision_weights * advantages * bounded).sum()

    anchored = hidden[rows.anchors]
    if not config.anchor_weight:
        anchored = anchored.detach()  # the drift is logged all the same
    divergence = kl_divergence(head, anchored, base_hidden[rows.anchors])
    anchor = (rows.anchor_weights * divergence).sum()

    with torch.no_grad():
        base_logprobs = sampled_logprobs(head, base_hidden[rows.decisions], rows.targets)
    return Losses(
        total=decision + config.anchor_weight * anchor if config.anchor_weight else decision,
        decision=decision.detach(),
        anchor=anchor.detach(),
        logprobs=logprobs.detach(),
        base_logprobs=base_logprobs,
    )


def _floored(logprobs: Tensor, advantages: Tensor, floor: float | None) -> Tensor:
    """Log-probs that a negative advantage cannot push below log `floor`.

    The paper's loss has no such bound: a negative advantage gains without end as p falls to 0.
    """
    if floor is None:
        return logprobs
    return torch.where(advantages < 0, logprobs.clamp(min=math.log(floor)), logprobs)


def prediction_rows(rollouts: Sequence[Rollout], width: int, device: torch.device) -> Rows:
    """The rows of a batch of rollouts whose ids are right-padded to `width` (T)."""
    parts: list[tuple[np.ndarray, ...]] = []
    for index, rollout in enumerate(rollouts):
        predicting = rollout.prompt_length - 1 + rollout.positions
        is_anchor = np.ones(len(rollout.ids) - 1, dtype=bool)
        is_anchor[predicting] = False
        anchors = np.flatnonzero(is_anchor)
        parts.append(
            (
                index * width + predicting,
                rollout.ids[predicting + 1],
                np.full(len(predicting), rollout.advantage, dtype=np.float32),
                np.full(len(predicting), 1 / max(len(predicting), 1), dtype=np.float32),
                index * width + anchors,
                np.full(len(anchors), 1 / max(len(anchors), 1), dtype=np.float32),
            )
        )
    *others, anchors, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    padding = -len(anchors) % ANCHOR_STEP
    columns = [*others, np.pad(anchors, (0, padding)), np.pad(weights, (0, padding))]
    return Rows(*(torch.from_numpy(column).to(device) for column in columns))
