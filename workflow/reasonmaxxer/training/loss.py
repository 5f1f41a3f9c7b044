"""The contrastive objective, written as the paper writes it.

    L_dec    = - mean over decisions t of  A_t log p_theta(x_t)                     (Eq. 6)
               or another of `method.objectives`
    L_anchor =   mean over the other positions of  KL(p_base || p_theta)            (Eq. 7)
    L        =   L_dec + lambda L_anchor

Means are taken within a rollout, then over the rollouts of an optimiser step. The anchor holds
every prediction position that is not a decision, those of the prompt included.

In the shapes below a batch has N tokens in one row, D decisions and M anchors among them, and H is
the model's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..config import TrainingConfig
from ..method.objectives import OBJECTIVES
from ..modeling.lm_head import Head, kl_divergence, sampled_logprobs
from ..modeling.packing import starts

# Numbers of anchors are rounded up to this, so that they come in few shapes (`cpu_kernels`).
ANCHOR_STEP = 64


@dataclass(frozen=True)
class Rollout:
    """A training sequence: ids of prompt and completion, its decisions, and their advantages."""

    ids: np.ndarray  # [T] int64, the prompt's first
    prompt_length: int  # at least 1
    advantages: np.ndarray  # [D] float32, of each decision; all alike with credit by rollout
    positions: np.ndarray  # [D] int64, decisions, 0-based in the completion, ascending
    problem: str = ""
    sample: int = 0

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it apart: problem, sample, and its length to be sure."""
        return self.problem, self.sample, len(self.ids)

    @property
    def magnitude(self) -> float:
        """Sum of |A| over the decisions, per token of the completion."""
        return float(np.abs(self.advantages).sum()) / max(len(self.ids) - self.prompt_length, 1)


@dataclass(frozen=True)
class Rows:
    """The prediction rows of a batch: indices into its hidden states [N, H], and weights.

    The hidden state at index i predicts token i + 1. `*_weights` are one over the number of such
    rows in the rollout: a weighted sum over the batch is a sum over rollouts of means. Some anchors
    may weigh nothing: they make their number round.
    """

    decisions: Tensor  # [D] int64
    targets: Tensor  # [D] int64, the sampled tokens
    advantages: Tensor  # [D] float32, not yet clipped
    decision_weights: Tensor  # [D] float32
    anchors: Tensor  # [M] int64
    anchor_weights: Tensor  # [M] float32


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
        hidden: [N, H] of the trained model; `total` is differentiable with respect to it.
        base_hidden: [N, H] of the base, constant.
        rows: the batch's decisions and anchors.
        config: `objective`, `anchor_weight` (lambda), `advantage_clip`, `probability_floor`.

    Returns:
        The losses, float32 and in nats.
    """
    logprobs = sampled_logprobs(head, hidden[rows.decisions], rows.targets)
    with torch.no_grad():
        base_logprobs = sampled_logprobs(head, base_hidden[rows.decisions], rows.targets)
    advantages = rows.advantages.clamp(-config.advantage_clip, config.advantage_clip)
    term = OBJECTIVES[config.objective].term
    terms = term(logprobs, base_logprobs, advantages, config.probability_floor)
    decision = (rows.decision_weights * terms).sum()

    anchored = hidden[rows.anchors]
    if not config.anchor_weight:
        anchored = anchored.detach()  # the drift is logged all the same
    divergence = kl_divergence(head, anchored, base_hidden[rows.anchors])
    anchor = (rows.anchor_weights * divergence).sum()

    return Losses(
        total=decision + config.anchor_weight * anchor if config.anchor_weight else decision,
        decision=decision.detach(),
        anchor=anchor.detach(),
        logprobs=logprobs.detach(),
        base_logprobs=base_logprobs,
    )


def prediction_rows(rollouts: Sequence[Rollout], device: torch.device) -> Rows:
    """The rows of a batch of rollouts, which stand one behind the other."""
    parts: list[tuple[np.ndarray, ...]] = []
    begins = starts([len(rollout.ids) for rollout in rollouts])
    for begin, rollout in zip(begins, rollouts, strict=True):
        predicting = rollout.prompt_length - 1 + rollout.positions
        is_anchor = np.ones(len(rollout.ids) - 1, dtype=bool)
        is_anchor[predicting] = False
        anchors = np.flatnonzero(is_anchor)
        parts.append(
            (
                begin + predicting,
                rollout.ids[predicting + 1],
                rollout.advantages,
                np.full(len(predicting), 1 / max(len(predicting), 1), dtype=np.float32),
                begin + anchors,
                np.full(len(anchors), 1 / max(len(anchors), 1), dtype=np.float32),
            )
        )
    *others, anchors, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    padding = -len(anchors) % ANCHOR_STEP
    columns = [*others, np.pad(anchors, (0, padding)), np.pad(weights, (0, padding))]
    return Rows(*(torch.from_numpy(column).to(device) for column in columns))
