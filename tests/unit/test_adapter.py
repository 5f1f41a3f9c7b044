"""The choice among checkpoints: best on validation, none that has collapsed."""

from __future__ import annotations

import pytest

from reasonmaxxer.adapter import choose
from reasonmaxxer.errors import UserError

C, W, U, T = "correct", "incorrect", "unparseable", "timeout"
BASE = [[C, W], [W, W], [W, W], [W, W]]


@pytest.mark.parametrize(
    ("checkpoints", "chosen", "collapsed"),
    [
        ([[[C, W]] * 4, [[C, C]] * 4, [[C, C], [C, W], [C, W], [C, W]]], 2, [False] * 3),
        ([[[C, W]] * 4, [[W, C]] * 4], 1, [False] * 2),  # a tie: the earlier one
        # half of the base's answers parse is still enough, less is not, whatever is right
        ([[[C, U]] * 4, [[C, C], [C, U], [U, U], [U, U]]], 1, [False, True]),
        ([[[W, W]] * 4, [[C, T], [C, T], [C, T], [T, T]]], 1, [False, True]),
    ],
    ids=["best", "tie", "unparseable", "timeout"],
)
def test_the_best_checkpoint_that_has_not_collapsed_is_chosen(checkpoints, chosen, collapsed):
    found, rows = choose(dict(enumerate([BASE, *checkpoints])), min_parseable=0.5)
    assert found == chosen
    assert [row["collapsed"] for row in rows] == [False, *collapsed]


def test_each_checkpoint_has_its_pass_rate_and_its_interval_over_problems():
    _, rows = choose({0: BASE, 1: [[C, C], [C, W], [W, W], [W, W]]}, min_parseable=0.5)
    assert [row["pass_rate"] for row in rows] == [0.125, 0.375]
    assert all(0 <= row["low"] < row["pass_rate"] < row["high"] <= 1 for row in rows)


def test_a_control_whose_every_checkpoint_has_collapsed_keeps_the_best_of_them():
    lost = [[[U, U]] * 4, [[C, U], [U, U], [U, U], [U, U]], [[C, U], [U, U], [U, U], [U, U]]]
    chosen, rows = choose(dict(enumerate([BASE, *lost])), 0.5, keep_collapsed=True)
    assert chosen == 2
    assert [row["collapsed"] for row in rows] == [False, True, True, True]


def test_a_sound_checkpoint_goes_before_a_better_one_that_has_collapsed():
    found = {0: BASE, 1: [[W, W]] * 4, 2: [[C, U], [C, U], [U, U], [U, U]]}
    assert choose(found, min_parseable=0.5, keep_collapsed=True)[0] == 1


def test_when_every_checkpoint_has_collapsed_the_base_is_the_last_good_state():
    with pytest.raises(
        UserError,
        match=r"every checkpoint has collapsed.* from 1\.00 to at most 0\.25; the last good state "
        r"is the base itself\. Lower training\.learning_rate",
    ):
        choose({0: BASE, 1: [[U, U]] * 4, 2: [[C, U], [C, T], [U, U], [U, U]]}, min_parseable=0.5)
