"""The credit: which share of a rollout's advantage each of its tokens gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = Sequence[int]  # [T], a completion's tokens
Credits = NDArray[np.float64]  # [T], of each of them

# Of a problem's K completions and their advantages A [K].
Assign = Callable[[Sequence[Ids], NDArray[np.float64]], list[Credits]]


@dataclass(frozen=True)
class Credit:
    """How credit is assigned, and what is said about it."""

    assign: Assign
    words: str  # as model cards say it: "trained ... on <rollouts><words>"


def _rollout(completions: Sequence[Ids], advantages: NDArray[np.float64]) -> list[Credits]:
    return [np.full(len(ids), a) for ids, a in zip(completions, advantages, strict=True)]


def prefix_credit(completions: Sequence[Ids], advantages: NDArray[np.float64]) -> list[Credits]:
    """What each token changed, as the rollouts that share its prefix tell it.

    The K rollouts of a problem form a tree of token prefixes. With V(x_<t) the mean advantage of
    the rollouts that begin with x_<t, a token's credit is

        A_t = V(x_<=t) - V(x_<t)     where at least two rollouts share x_<t
        A_t = max(A - V(x_<s), 0)    behind s, the last place where they do

    so that a token is blamed only where another one was tried, and did better. What comes behind
    the tree shares the praise for a success that the tree does not explain, and never the blame:
    most of a wrong rollout's tokens are right.

    Args:
        completions: K arrays of token ids, of any lengths.
        advantages: [K] float64, one a rollout.

    Returns:
        K arrays [T] float64, one value a token.
    """
    credits = [np.zeros(len(ids)) for ids in completions]
    nodes = [(list(range(len(completions))), 0)]  # who shares a prefix, and its length
    while nodes:
        sharing, place = nodes.pop()
        value = advantages[sharing].mean()
        branches: dict[int, list[int]] = {}
        for i in sharing:
            if place < len(completions[i]):
                branches.setdefault(completions[i][place], []).append(i)
        for branch in branches.values():
            change = advantages[branch].mean() - value
            for i in branch:
                credits[i][place] = change
            if len(branch) > 1:
                nodes.append((branch, place + 1))
            else:
                credits[branch[0]][place + 1 :] = max(change, 0.0)
    return credits


CREDIT = {
    "rollout": Credit(_rollout, words=""),
    "prefix": Credit(prefix_credit, words=", with credit by shared prefixes,"),
}
