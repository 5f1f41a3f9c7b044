"""Rows of the table `rollouts`, made up: one by its tokens, or random ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from reference import VOCABULARY

Row = dict[str, Any]


def rollout(
    prompt: Sequence[int], completion: Sequence[int], problem: str = "p", sample: int = 0
) -> Row:
    """A rollout of these tokens, which the base was certain of."""
    return {
        **{"problem_id": problem, "sample": sample, "seed": 0},
        **{"prompt_token_ids": [*prompt], "token_ids": [*completion]},
        **{"logprobs": [0.0] * len(completion), "finish_reason": "stop", "text": ""},
    }


def random_rollouts(
    lengths: Sequence[tuple[int, int]],
    seed: int = 0,
    samples: int = 1,
) -> list[Row]:
    """Rollouts of random tokens, by the lengths of prompt and completion, `samples` a problem."""
    rng = np.random.default_rng(seed)
    return [
        rollout(
            rng.integers(0, VOCABULARY, prompt).tolist(),
            rng.integers(0, VOCABULARY, completion).tolist(),
            problem=f"p{index // samples}",
            sample=index % samples,
        )
        for index, (prompt, completion) in enumerate(lengths)
    ]
