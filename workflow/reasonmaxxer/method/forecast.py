"""The forecast: what training can be expected to gain, from the base's rollouts alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# Gain on fresh problems of the same kind over the variance of the reward: 1.2 to 2.0 on the six
# bases of the lab (docs/lab.md), and for a seventh in 95 of 100 cases between these.
GAIN_PER_VARIANCE = (0.8, 2.4)


def reward_variance(rewards: Iterable[Sequence[int]]) -> float:
    """How much the rollouts of a problem differ in reward, as the mean over problems.

    With k of a problem's K rollouts right it is k (K - k) / (K (K - 1)), the unbiased estimate of
    p (1 - p). To first order it is what policy gradients can gain by a step of a given size.

    Args:
        rewards: of each problem, the rewards 0 or 1 of its K rollouts, K at least 2 to count.

    Returns:
        Between 0 and 0.5; 0 where no problem has two rollouts.
    """
    found = []
    for values in rewards:
        right, count = sum(values), len(values)
        if count > 1:
            found.append(right * (count - right) / (count * (count - 1)))
    return sum(found) / len(found) if found else 0.0


def gain(variance: float) -> tuple[float, float]:
    """The lowest and the highest gain in pass rate to expect, as shares between 0 and 1."""
    low, high = (factor * variance for factor in GAIN_PER_VARIANCE)
    return min(low, 1.0), min(high, 1.0)
