"""The training set: rollouts of the table `selection`, and the order in which steps visit them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import tables
from ..config import TrainingConfig
from ..errors import UserError
from .loss import Rollout


def read_rollouts(selection: Path) -> list[Rollout]:
    """The training sequences of the table `selection`, in its order.

    Raises `UserError` if there is none, a prompt is empty, or a decision is outside its completion.
    """
    columns = ["prompt_token_ids", "token_ids", "advantages", "positions", "problem_id", "sample"]
    rollouts = []
    for row in tables.rows(selection, "selection", columns):
        prompt, completion = row["prompt_token_ids"], row["token_ids"]
        positions = np.asarray(row["positions"], dtype=np.int64)
        where = f"{selection}: problem '{row['problem_id']}', sample {row['sample']}"
        if not prompt:
            raise UserError(
                f"{where}: prompt_token_ids: is empty, but the first token needs a prompt"
            )
        if len(positions) and not (positions.min() >= 0 and positions.max() < len(completion)):
            raise UserError(
                f"{where}: positions: outside the completion of {len(completion)} tokens"
            )
        ids = np.asarray(prompt + completion, dtype=np.int64)
        key = row["problem_id"], row["sample"]
        advantages = np.asarray(row["advantages"], dtype=np.float32)
        rollouts.append(Rollout(ids, len(prompt), advantages, positions, *key))
    if not rollouts:
        raise UserError(f"{selection}: no rollouts to train on; see its summary")
    return rollouts


def training_steps(rollouts: Sequence[Rollout], config: TrainingConfig) -> list[list[int]]:
    """The indices of the rollouts that each optimiser step visits; the last may have fewer.

    Epochs repeat, each in a new random order, until `config.sequences` rollouts are visited; of a
    longer selection that many are drawn. Order `magnitude` is by |A| summed over the decisions per
    token, falling, the same in each epoch, as in the released scripts.
    """
    rng = np.random.default_rng(config.seed)
    magnitudes = np.array([r.magnitude for r in rollouts])
    order: list[int] = []
    while len(order) < config.sequences:
        if config.order == "magnitude":
            order.extend(np.argsort(-magnitudes, kind="stable").tolist())
        else:
            order.extend(rng.permutation(len(rollouts)).tolist())
    order = order[: config.sequences]
    size = config.batch_size
    return [order[start : start + size] for start in range(0, len(order), size)]
