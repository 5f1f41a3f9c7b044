"""The forecast of the gain, from the rewards of the base's rollouts."""

import numpy as np
import pytest

from reasonmaxxer.config import SelectionConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.method.forecast import GAIN_PER_VARIANCE, gain, reward_variance
from reasonmaxxer.stages.selection import Scored, select


def test_the_variance_is_the_mean_over_problems_of_an_unbiased_estimate():
    rewards = [[1, 0, 0, 1], [1, 1, 1], [0, 0], [1]]
    expected = np.mean([np.var(values, ddof=1) for values in rewards[:3]])
    assert reward_variance(rewards) == pytest.approx(expected)
    assert reward_variance([[1], [0]]) == 0


def test_few_rollouts_of_a_problem_give_the_variance_of_many():
    rng = np.random.default_rng(0)
    rates = rng.random(20_000)
    found = reward_variance((rng.random(4) < rate).astype(int).tolist() for rate in rates)
    assert found == pytest.approx(np.mean(rates * (1 - rates)), abs=0.005)


def test_a_gain_is_a_share():
    assert gain(0.1) == tuple(pytest.approx(0.1 * factor) for factor in GAIN_PER_VARIANCE)
    assert gain(0.5) == (pytest.approx(0.4), 1.0)


def _pool(problems: int, mixed: int) -> list[Scored]:
    entropies = np.array([2.0], dtype=np.float32)
    return [
        Scored(f"p{p}", i, [1], np.array([i], dtype=np.int32), False, reward, entropies)
        for p in range(problems)
        for i, reward in enumerate([1 if p < mixed else 0, 0])
    ]


def test_where_next_to_nothing_can_be_gained_the_run_stops_before_it_trains(capsys):
    _, figures = select(_pool(10, mixed=5), SelectionConfig(tau=1.0))
    assert figures["reward_variance"] == pytest.approx(0.25)
    assert "forecast: training gains 20.0 to 60.0 points" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"selection\.min_forecast: .*0\.1 to 0\.2 points") as found:
        select(_pool(500, mixed=1), SelectionConfig(tau=1.0))
    assert "an easier pool of problems" in str(found.value)
    rows, _ = select(_pool(500, mixed=1), SelectionConfig(tau=1.0, min_forecast=0))
    assert len(rows) == 2
