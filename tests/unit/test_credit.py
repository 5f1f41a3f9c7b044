"""Credit: a rollout's advantage, shared out among its tokens."""

from __future__ import annotations

import numpy as np
import pytest

from reasonmaxxer.config import SelectionConfig
from reasonmaxxer.method.credit import CREDIT, prefix_credit
from reasonmaxxer.stages.selection import Scored, select


def _ids(*completions: list[int]) -> list[np.ndarray]:
    return [np.array(ids, dtype=np.int32) for ids in completions]


def test_by_rollout_every_token_has_the_advantage():
    credits = CREDIT["rollout"].assign(_ids([1, 2], [3]), np.array([0.5, -0.5]))
    assert [c.tolist() for c in credits] == [[0.5, 0.5], [-0.5]]


def test_a_token_is_worth_what_it_changed():
    # Four begin with 1; behind it, 2 is right in two of three, and 5 is wrong.
    completions = _ids([1, 2, 3], [1, 2, 4, 6], [1, 2, 3], [1, 5, 9])
    credits = prefix_credit(completions, np.array([1.0, 0.0, 1.0, 0.0]))
    expected = [
        [0, 2 / 3 - 1 / 2, 1 - 2 / 3],
        [0, 2 / 3 - 1 / 2, 0 - 2 / 3, 0],  # the last token stands behind the tree: no blame
        [0, 2 / 3 - 1 / 2, 1 - 2 / 3],
        [0, 0 - 1 / 2, 0],
    ]
    for got, want in zip(credits, expected, strict=True):
        assert got == pytest.approx(want)


def _slowly(completions, advantages):
    """The definition, read off all pairs of rollouts."""
    credits = []
    for ids, own in zip(completions, advantages, strict=True):
        values = []
        for t in range(len(ids)):
            shared = [j for j, o in enumerate(completions) if list(o[:t]) == list(ids[:t])]
            if len(shared) > 1:
                before = np.mean([advantages[j] for j in shared])
            after = [j for j in shared if list(completions[j][: t + 1]) == list(ids[: t + 1])]
            values.append(np.mean([advantages[j] for j in after]) - before)
            if len(shared) == 1:
                values[-1] = max(own - before, 0)
        credits.append(values)
    return credits


@pytest.mark.parametrize("seed", range(20))
def test_any_tree_gets_the_credit_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    # Few tokens and short completions: prefixes of one another, and equal ones, occur.
    completions = [
        rng.integers(0, 3, rng.integers(0, 8)).astype(np.int32) for _ in range(rng.integers(2, 12))
    ]
    advantages = rng.normal(size=len(completions))
    for got, want in zip(
        prefix_credit(completions, advantages), _slowly(completions, advantages), strict=True
    ):
        assert got == pytest.approx(want)


def test_a_wrong_rollout_is_blamed_for_its_branch_alone():
    completions = _ids([7, 1, 2, 2], [7, 1, 2, 2], [7, 3, 4, 5])
    credits = prefix_credit(completions, np.array([1.0, 1.0, -1.0]))
    assert credits[2].tolist() == pytest.approx([0, -4 / 3, 0, 0])


def test_selection_writes_the_credit_of_each_decision():
    entropies = np.array([2.0, 0.1, 2.0], dtype=np.float32)
    pool = [
        Scored("p", i, [1], np.array(ids, dtype=np.int32), False, reward, entropies)
        for i, (ids, reward) in enumerate([([1, 2, 3], 1), ([1, 2, 4], 0), ([5, 2, 3], 1)])
    ]
    rows, _ = select(pool, SelectionConfig(tau=1.0, credit="prefix"))
    std = np.sqrt(2 / 9)
    found = {row["sample"]: row["advantages"] for row in rows}
    assert found[0] == pytest.approx([(1 / 2 - 2 / 3) / std, (1 - 1 / 2) / std], abs=1e-5)
    assert found[1] == pytest.approx([(1 / 2 - 2 / 3) / std, (0 - 1 / 2) / std], abs=1e-5)
    assert found[2] == pytest.approx([(1 - 2 / 3) / std] * 2, abs=1e-5)


def test_the_pivotal_gate_takes_as_many_positions_where_the_choice_counted_most():
    # Behind the branch at 1 all tokens of a rollout are worth the same, those of a wrong one
    # nothing: the more uncertain counts.
    entropies = np.array([2.0, 0.3, 0.2, 1.5, 0.4], dtype=np.float32)
    pool = [
        Scored("p", i, [1], np.array(ids, dtype=np.int32), False, reward, entropies)
        for i, (ids, reward) in enumerate([([1, 2, 3, 3, 3], 1), ([1, 4, 3, 3, 3], 0)])
    ]
    rows, _ = select(pool, SelectionConfig(tau=1.0, credit="prefix", gate="pivotal"))
    assert [row["positions"] for row in rows] == [[3, 4], [0, 1]]
    credits = [[1, 1], [0, -1]]
    assert [row["advantages"] for row in rows] == [pytest.approx(c, abs=1e-5) for c in credits]
    with pytest.raises(ValueError, match=r"gate pivotal .*; set credit: prefix"):
        SelectionConfig(tau=1.0, gate="pivotal")


@pytest.mark.parametrize("credit", CREDIT)
def test_correct_rollouts_alone_are_not_compared(credit):
    entropies = np.array([2.0, 2.0], dtype=np.float32)
    pool = [
        Scored("p", i, [1], np.array([1, i], dtype=np.int32), False, reward, entropies)
        for i, reward in enumerate([1, 0, 1])
    ]
    rows, _ = select(pool, SelectionConfig(tau=1.0, credit=credit, advantages="positive"))
    assert {row["sample"]: row["advantages"] for row in rows} == {0: [1, 1], 2: [1, 1]}
