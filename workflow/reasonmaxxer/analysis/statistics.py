"""Estimates and their uncertainty: pass@k, majority vote, intervals, paired differences.

The unit that varies is the problem: its samples belong together and are resampled together. What
enters here is one value a problem (the mean over its samples); `tests/benchmarks/coverage.py`
measures how often the intervals hold the true value.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]

RESAMPLES = 9_999
LEVEL = 0.95
FEW = 10  # below this many differing problems, a spread between problems is not worth much
# A resample may leave out nearly all problems on which two arms differ; its standard error is not
# let fall under this share of the sample's, or one such resample would decide the interval.
ERROR_FLOOR = 0.1


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Estimate):
    """A paired difference; `p` is two-sided and agrees with the interval."""

    p: float


# --- one problem ------------------------------------------------------------------------------


def pass_at_k(correct: Sequence[int] | NDArray[np.int64], samples: int, k: int) -> Values:
    """Chance that one of k samples is right, from `correct` of `samples` right, for each problem.

    1 - C(n - c, k) / C(n, k): unbiased, drawn without replacement. Raises `ValueError` unless
    1 <= k <= samples.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs between 1 and {samples} samples, the number drawn")
    wrong = samples - np.asarray(correct, dtype=np.int64)[:, None]
    drawn = np.arange(k)
    # C(n-c, k) / C(n, k) as a product of k ratios, which stays in range for any n.
    return 1.0 - np.prod(np.maximum(wrong - drawn, 0) / (samples - drawn), axis=1)


def majority(answers: Sequence[str | None], correct: Sequence[bool]) -> float:
    """Whether the most frequent answer of one problem is right: 0, 1, or a tie's share of right.

    All correct samples count as one answer, since each was found equal to the reference; wrong
    ones are told apart by their text. Samples without an answer do not vote.
    """
    votes: Counter[tuple[bool, str]] = Counter()
    for answer, right in zip(answers, correct, strict=True):
        if right:
            votes[True, ""] += 1
        elif answer is not None:
            votes[False, "".join(answer.split())] += 1
    most = max(votes.values(), default=0)
    winners = [right for (right, _), count in votes.items() if count == most]
    return sum(winners) / len(winners) if winners else 0.0


def ratio_values(numerators: Values, denominators: Values) -> Values:
    """One value a problem whose mean is sum(numerators) / sum(denominators).

    Its spread is that of the ratio to first order (the ratio plus each problem's influence on
    it); with equal denominators these are the problems' own means. NaN when all are zero.
    """
    total = denominators.mean()
    if total == 0:
        return np.full(len(numerators), np.nan)
    ratio = numerators.mean() / total
    return ratio + (numerators - ratio * denominators) / total


# --- one arm ----------------------------------------------------------------------------------


def wilson(share: float, trials: float, quantile: float | None = None) -> tuple[float, float]:
    """Wilson's score interval for a share of `trials`; `quantile` is the normal's by default."""
    z = float(stats.norm.ppf(0.5 + LEVEL / 2)) if quantile is None else quantile
    spread = z / trials * np.sqrt(share * (1 - share) * trials + z * z / 4)
    centre = share + z * z / (2 * trials)
    scale = 1 + z * z / trials
    return max(0.0, float((centre - spread) / scale)), min(1.0, float((centre + spread) / scale))


def share_interval(values: Values, samples: int, informative: int | None = None) -> Estimate:
    """A mean share over problems with its interval; `values` are one a problem.

    One sample a problem: Wilson. Several: Wilson's interval for as many independent trials as
    the spread between problems amounts to, with Student's quantile (Korn and Graubard). Where
    hardly any problem differs from all-wrong or all-right, samples of a problem count as one.
    `informative` is the number of problems that say anything (default: all of them).
    """
    share = float(np.clip(values.mean(), 0.0, 1.0))
    problems = len(values) if informative is None else informative
    if np.ptp(values) < 1e-12:
        return Estimate(share, *_unanimous(share, problems, 0.0, 1.0))
    differing = min(np.count_nonzero(values > 0), np.count_nonzero(values < 1))
    if samples == 1 or differing < FEW:
        return Estimate(share, *wilson(share, problems))
    error = float(values.var(ddof=1)) / len(values)
    trials = max(share * (1 - share) / error, 1.0)
    return Estimate(share, *wilson(share, trials, _student(max(problems, 2))))


def mean_interval(values: Values, seed: int = 0) -> Estimate:
    """The mean of any quantity over problems, by the studentised bootstrap over problems."""
    value = float(values.mean())
    if np.ptp(values) < 1e-12:
        return Estimate(value, value, value)
    half = _half_width(_draws(values, seed), _standard_error(values))
    return Estimate(value, value - half, value + half)


def mean_of_estimates(parts: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates; distances to the bounds add in squares (MOVER)."""
    count = len(parts)
    value = sum(part.value for part in parts) / count
    below = np.sqrt(sum((part.value - part.low) ** 2 for part in parts)) / count
    above = np.sqrt(sum((part.high - part.value) ** 2 for part in parts)) / count
    return Estimate(value, float(value - below), float(value + above))


def seeds_interval(values: Sequence[float]) -> Estimate:
    """Student's interval for the mean over training seeds (two or more)."""
    mean, count = float(np.mean(values)), len(values)
    half = _student(count) * float(np.std(values, ddof=1)) / np.sqrt(count)
    return Estimate(mean, float(mean - half), float(mean + half))


# --- two arms ---------------------------------------------------------------------------------


def paired_difference(
    arm: Values, base: Values, bounds: tuple[float, float] | None = (-1.0, 1.0), seed: int = 0
) -> Difference:
    """Mean difference arm - base over the same problems, by the studentised bootstrap.

    Problems are resampled with their samples inside. The interval is symmetric in the studentised
    difference, so p < 0.05 just when it leaves out zero. `bounds` are the values a problem's
    difference can take (None: any).
    """
    return mean_difference([arm - base], bounds, [seed])


def mean_difference(
    parts: Sequence[Values],
    bounds: tuple[float, float] | None = (-1.0, 1.0),
    seeds: Sequence[int] | None = None,
) -> Difference:
    """Mean over benchmarks of their mean differences; `parts` holds each one's differences.

    Problems are resampled within their benchmark. A benchmark on which every problem changed by
    the same amount has no spread and adds none, unless all of them are such.
    """
    value = float(np.mean([part.mean() for part in parts]))
    spread = [i for i, part in enumerate(parts) if len(part) > 1 and np.ptp(part) > 1e-12]
    if not spread:
        return _unanimous_difference(parts, value, bounds)
    seeds = seeds or range(len(parts))
    error = np.sqrt(sum(_standard_error(parts[i]) ** 2 for i in spread))
    draws = _sum_draws([_draws(parts[i], seeds[i]) for i in spread])
    half = _half_width(draws, error) / len(parts)
    t = abs(value) * len(parts) / error
    p = (1 + np.count_nonzero(_absolute_t(draws) >= t - 1e-12)) / (1 + RESAMPLES)
    low, high = bounds or (-np.inf, np.inf)
    return Difference(value, max(low, value - half), min(high, value + half), float(p))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's corrected p-values, in the order given."""
    order = np.argsort(p)
    corrected = np.empty(len(p))
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = highest
    return [float(value) for value in corrected]


# --- parts ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Draws:
    """Resamples of a mean: how far each lies from the sample's, and its own standard error."""

    shift: Values
    error: Values


@functools.lru_cache(maxsize=8)
def _counts(problems: int, seed: int) -> NDArray[np.uint8]:
    """[resamples, problems]: how often each problem is drawn."""
    rng = np.random.default_rng([problems, seed])
    counts = np.empty((RESAMPLES, problems), dtype=np.uint8)
    for rows in np.array_split(counts, max(1, RESAMPLES * problems >> 20)):
        drawn = rng.integers(problems, size=rows.shape)
        drawn += problems * np.arange(len(rows))[:, None]
        rows[:] = np.bincount(drawn.ravel(), minlength=rows.size).reshape(rows.shape)
    return counts


def _draws(values: Values, seed: int) -> _Draws:
    problems = len(values)
    centred = values - values.mean()
    columns = np.stack([centred, centred**2], axis=1) / problems
    blocks = np.array_split(_counts(problems, seed), max(1, RESAMPLES * problems >> 20))
    shift, square = np.concatenate([block.astype(np.float64) @ columns for block in blocks]).T
    variance = np.maximum(square - shift**2, 0.0) / (problems - 1)
    floor = ERROR_FLOOR * _standard_error(values)
    return _Draws(shift, np.sqrt(variance + floor**2))


def _sum_draws(parts: Sequence[_Draws]) -> _Draws:
    shift = np.sum([part.shift for part in parts], axis=0)
    return _Draws(shift, np.sqrt(np.sum([part.error**2 for part in parts], axis=0)))


def _absolute_t(draws: _Draws) -> Values:
    return np.abs(draws.shift) / draws.error


def _half_width(draws: _Draws, error: float) -> float:
    return float(np.quantile(_absolute_t(draws), LEVEL, method="inverted_cdf") * error)


def _standard_error(values: Values) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


@functools.cache
def _student(count: int) -> float:
    return float(stats.t.ppf(0.5 + LEVEL / 2, count - 1))


def _unanimous(value: float, problems: int, low: float, high: float) -> tuple[float, float]:
    """Interval where all problems agree: the share that may differ is Wilson's bound for none."""
    _, others = wilson(0.0, problems)
    return value - others * (value - low), value + others * (high - value)


def _unanimous_difference(
    parts: Sequence[Values], value: float, bounds: tuple[float, float] | None
) -> Difference:
    problems = sum(len(part) for part in parts)
    p = min(1.0, 2.0 * 0.5**problems) if value else 1.0
    if bounds is None:
        return Difference(value, value, value, p)
    sides = [_unanimous(float(part.mean()), len(part), *bounds) for part in parts]
    combined = mean_of_estimates(
        [Estimate(float(part.mean()), *side) for part, side in zip(parts, sides, strict=True)]
    )
    return Difference(value, combined.low, combined.high, p)
