"""Estimates and their uncertainty: pass@k, majority vote, intervals, paired differences.

What varies are the problems and, where a method was trained several times, its seeds. A problem's
samples belong together and are resampled together: what enters here is one value a problem (the
mean over its samples). `tests/benchmarks/coverage.py` measures how often the intervals hold the
true value.
"""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Values = NDArray[np.float64]

RESAMPLES = 9_999
LEVEL = 0.95
EXACT_BELOW = 25  # problems on which two arms differ: so few are tested exactly
FEW = 10  # below this many differing problems, a spread between problems is not worth much
TINY = 1e-15  # what rounding leaves of a difference that is none
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
    """Chance that one of k of each problem's `samples` is right, `correct` of which are.

    1 - C(n - c, k) / C(n, k): unbiased. Raises `ValueError` unless 1 <= k <= samples.
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
    quantile = float(stats.t.ppf(0.5 + LEVEL / 2, max(problems, 2) - 1))
    return Estimate(share, *wilson(share, trials, quantile))


def mean_interval(values: Values) -> Estimate:
    """The mean of any quantity over problems, by the studentised bootstrap over problems."""
    value = float(values.mean())
    if np.ptp(values) < 1e-12:
        return Estimate(value, value, value)
    draws = _draws(values, 0, RESAMPLES)
    t = np.sort(np.abs(draws.shift) / draws.error)
    return Estimate(value, *_Bootstrap(value, _standard_error(values), t).interval(1 - LEVEL))


def mean_of_estimates(parts: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates; distances to the bounds add in squares (MOVER)."""
    count = len(parts)
    value = sum(part.value for part in parts) / count
    below = np.sqrt(sum((part.value - part.low) ** 2 for part in parts)) / count
    above = np.sqrt(sum((part.high - part.value) ** 2 for part in parts)) / count
    return Estimate(value, float(value - below), float(value + above))


# --- seeds ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """What the choice of training seeds adds to a mean: a standard error from so many seeds."""

    error: float
    seeds: int

    def half(self, alpha: float) -> float:
        return float(stats.t.ppf(1 - alpha / 2, self.seeds - 1)) * self.error


def seeds_spread(parts: Sequence[Values]) -> Spread | None:
    """Of the mean over benchmarks; `parts` holds each one's values as [seeds, problems].

    The variance between the seeds' means, without what the seeds' disagreements on single problems
    put into it, which an interval over problems holds already. None for one seed.
    """
    seeds = len(parts[0])
    if seeds < 2:
        return None
    means = np.mean([part.mean(axis=1) for part in parts], axis=0)
    inside = sum(map(_disagreement, parts)) / len(parts) ** 2
    return Spread(float(np.sqrt(max(0.0, means.var(ddof=1) / seeds - inside))), seeds)


def with_seeds(found: Estimate, spread: Spread | None) -> Estimate:
    """An interval over problems with that over seeds; distances to the bounds add in squares."""
    if spread is None:
        return found
    half, value = spread.half(1 - LEVEL), found.value
    below = np.hypot(value - found.low, half)
    above = np.hypot(found.high - value, half)
    return Estimate(value, float(value - below), float(value + above))


def _disagreement(values: Values) -> float:
    """Variance of a mean over [seeds, problems] by what neither a seed nor a problem explains."""
    seeds, problems = values.shape
    if problems < 2:
        return 0.0
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    return float((rest**2).sum() / ((seeds - 1) * (problems - 1) * seeds * problems))


# --- two arms ---------------------------------------------------------------------------------


def paired_difference(
    arm: Values, base: Values, bounds: tuple[float, float] | None = (-1.0, 1.0), seed: int = 0
) -> Difference:
    """Mean difference arm - base over the same problems, as `mean_difference` of one benchmark."""
    return mean_difference([arm - base], bounds, [seed])


def mean_difference(
    parts: Sequence[Values],
    bounds: tuple[float, float] | None = (-1.0, 1.0),
    seeds: Sequence[int] | None = None,
    resamples: int = RESAMPLES,
    spreads: Sequence[Spread] = (),
) -> Difference:
    """Mean over benchmarks of their mean differences; `parts` holds each one's, a value a problem.

    Where fewer than 25 problems differ, the test is the exact one over their signs (McNemar's,
    where a problem has one sample), and the interval is its inversion. Else it is the studentised
    bootstrap: problems are resampled with their samples inside, within their benchmark, and the
    interval is symmetric in the studentised difference. A benchmark on which every problem changed
    by the same amount has no spread and adds none, unless all of them are such.

    p < 0.05 just when the interval leaves out zero.

    Args:
        bounds: the values a problem's difference can take (None: any, and never the exact test).
        seeds: of each benchmark's resampling.
        spreads: what sets of training seeds add; `parts` are then means over the seeds.
    """
    over_problems = _over_problems(parts, bounds, seeds or range(len(parts)), resamples)
    return _difference(over_problems, [spread.half for spread in spreads], bounds)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's corrected p-values, in the order given."""
    order, corrected = np.argsort(p), np.empty(len(p))
    steps = (len(p) - np.arange(len(p))) * np.asarray(p)[order]
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected.tolist()


# --- over problems ----------------------------------------------------------------------------


def _over_problems(
    parts: Sequence[Values],
    bounds: tuple[float, float] | None,
    seeds: Sequence[int],
    resamples: int,
) -> "_Exact | _Unanimous | _Bootstrap":
    """The mean difference and how unsure its problems leave it, at any level 1 - alpha."""
    value = float(np.mean([part.mean() for part in parts]))
    differing = sum(int(np.count_nonzero(np.abs(part) > TINY)) for part in parts)
    if bounds is not None and 0 < differing < EXACT_BELOW:
        return _Exact(parts)
    spread = [i for i, part in enumerate(parts) if len(part) > 1 and np.ptp(part) > 1e-12]
    if not spread:
        return _Unanimous(value, tuple((float(part.mean()), len(part)) for part in parts), bounds)
    error = np.sqrt(sum(_standard_error(parts[i]) ** 2 for i in spread))
    draws = [_draws(parts[i], seeds[i], resamples) for i in spread]
    shift = np.sum([of_part.shift for of_part in draws], axis=0)
    spreads = np.sqrt(np.sum([of_part.error**2 for of_part in draws], axis=0))
    return _Bootstrap(value, float(error) / len(parts), np.sort(np.abs(shift) / spreads))


def _difference(
    found: "_Exact | _Unanimous | _Bootstrap",
    halves: Sequence[Callable[[float], float]],
    bounds: tuple[float, float] | None,
) -> Difference:
    """The interval over problems and seeds, and the p at which its near end is zero."""
    value = found.value

    def interval(alpha: float) -> tuple[float, float]:
        low, high = found.interval(alpha)
        if not halves:
            return low, high
        added = [half(alpha) for half in halves]
        below, above = np.linalg.norm([[value - low, *added], [high - value, *added]], axis=1)
        return float(value - below), float(value + above)

    least, most = found.p, 1.0
    for _ in range(60 if halves else 0):
        middle = (least + most) / 2
        low, high = interval(middle)
        least, most = (least, middle) if low > 0 or high < 0 else (middle, most)
    low, high = interval(1 - LEVEL)
    lowest, highest = bounds or (-np.inf, np.inf)
    return Difference(value, max(lowest, low), min(highest, high), most if halves else found.p)


@dataclass(frozen=True)
class _Bootstrap:
    """The studentised bootstrap: |t| of every resample, sorted."""

    value: float
    error: float
    t: Values

    @property
    def p(self) -> float:
        above = np.count_nonzero(self.t >= abs(self.value) / self.error - 1e-12)
        return float((1 + above) / (1 + len(self.t)))

    def interval(self, alpha: float) -> tuple[float, float]:
        place = int(np.ceil((1 - alpha) * len(self.t))) - 1
        half = float(self.t[max(0, place)]) * self.error
        return self.value - half, self.value + half


class _Exact:
    """Few problems that differ: a problem's difference is positive with one chance, theta.

    Theta's interval is Clopper and Pearson's, with differences that need not be equally large; the
    mean difference is (2 theta - 1) times the mean of their sizes, whose own interval is the one of
    a share over problems. The two add in squares, but never past zero where theta's leaves out one
    half.
    """

    def __init__(self, parts: Sequence[Values]) -> None:
        weighed = np.concatenate([part / (len(part) * len(parts)) for part in parts])
        differences = weighed[np.abs(weighed) > TINY]
        self.size = float(np.abs(differences).sum())
        self.value = float(differences.sum())
        self._problems = len(weighed)
        errors = [_standard_error(np.abs(part)) for part in parts if len(part) > 1]
        error = float(np.linalg.norm(errors)) / len(parts)
        self._trials = self.size * (1 - self.size) / error**2 if error > TINY else self._problems
        observed = float(differences[differences > 0].sum())
        self._above, self._below = _subsets(np.abs(differences), observed)

    @property
    def p(self) -> float:
        tails = self._chance(self._above, 0.5), self._chance(self._below, 0.5)
        return min(1.0, 2 * min(tails))

    def interval(self, alpha: float) -> tuple[float, float]:
        sign = self.value / self.size
        least, most = (2 * theta - 1 for theta in self._theta(alpha))
        quantile = float(stats.t.ppf(1 - alpha / 2, max(1, self._problems - 1)))
        small, large = wilson(self.size, max(1.0, self._trials), quantile)
        shrunk, grown = abs(sign) * (self.size - small), abs(sign) * (large - self.size)
        down, up = (shrunk, grown) if sign >= 0 else (grown, shrunk)
        low = self.value - np.hypot((sign - least) * self.size, down)
        high = self.value + np.hypot((most - sign) * self.size, up)
        low = max(low, least * small) if least > 0 else low
        high = min(high, most * small) if most < 0 else high
        return float(low), float(high)

    def _theta(self, alpha: float) -> tuple[float, float]:
        """Where each tail of the observed signs has half of alpha."""

        def edge(counts: Values, otherwise: float) -> float:
            if self._chance(counts, otherwise) > alpha / 2:
                return otherwise
            return float(
                optimize.brentq(lambda x: self._chance(counts, x) - alpha / 2, 0, 1, xtol=1e-13)
            )

        return edge(self._above, 0.0), edge(self._below, 1.0)

    def _chance(self, counts: Values, theta: float) -> float:
        k = np.arange(len(counts))
        return float((counts * theta**k * (1 - theta) ** (len(counts) - 1 - k)).sum())


def _subsets(sizes: Values, wanted: float) -> tuple[Values, Values]:
    """How many subsets of each number of elements have a sum of at least, and at most, `wanted`.

    Two halves are enumerated and met in the middle: 2^12 sums each for 24 sizes.
    """
    slack = 1e-9 * float(sizes.sum())
    first, second = (_sums(part) for part in (sizes[: len(sizes) // 2], sizes[len(sizes) // 2 :]))
    above, below = np.zeros(len(sizes) + 1), np.zeros(len(sizes) + 1)
    for i, sums in enumerate(first):
        for j, others in enumerate(second):
            above[i + j] += np.sum(len(others) - np.searchsorted(others, wanted - slack - sums))
            below[i + j] += np.sum(np.searchsorted(others, wanted + slack - sums, side="right"))
    return above, below


def _sums(sizes: Values) -> list[Values]:
    """The sums of all subsets, sorted, by their number of elements."""
    found = [np.zeros(1)]
    for size in sizes:
        longer = [np.empty(0), *(sums + size for sums in found)]
        found = [np.concatenate(pair) for pair in zip([*found, np.empty(0)], longer, strict=True)]
    return [np.sort(sums) for sums in found]


@dataclass(frozen=True)
class _Unanimous:
    """Benchmarks on each of which every problem changed alike: (change, problems) of each."""

    value: float
    parts: tuple[tuple[float, int], ...]
    bounds: tuple[float, float] | None

    @property
    def p(self) -> float:
        problems = sum(count for _, count in self.parts)
        return min(1.0, 2.0 * 0.5**problems) if self.value else 1.0

    def interval(self, alpha: float) -> tuple[float, float]:
        if self.bounds is None:
            return self.value, self.value
        z = float(stats.norm.ppf(1 - alpha / 2))
        sides = [(v, *_unanimous(v, count, *self.bounds, z)) for v, count in self.parts]
        found = mean_of_estimates([Estimate(*side) for side in sides])
        return found.low, found.high


# --- parts ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Draws:
    """Resamples of a mean: how far each lies from the sample's, and its own standard error."""

    shift: Values
    error: Values


@functools.lru_cache(maxsize=8)
def _counts(problems: int, seed: int, resamples: int) -> NDArray[np.uint8]:
    """[resamples, problems]: how often each problem is drawn."""
    rng = np.random.default_rng([problems, seed])
    counts = np.empty((resamples, problems), dtype=np.uint8)
    for rows in np.array_split(counts, max(1, resamples * problems >> 20)):
        drawn = rng.integers(problems, size=rows.shape)
        drawn += problems * np.arange(len(rows))[:, None]
        rows[:] = np.bincount(drawn.ravel(), minlength=rows.size).reshape(rows.shape)
    return counts


def _draws(values: Values, seed: int, resamples: int) -> _Draws:
    problems = len(values)
    centred = values - values.mean()
    columns = np.stack([centred, centred**2], axis=1) / problems
    blocks = np.array_split(_counts(problems, seed, resamples), max(1, resamples * problems >> 20))
    shift, square = np.concatenate([block.astype(np.float64) @ columns for block in blocks]).T
    variance = np.maximum(square - shift**2, 0.0) / (problems - 1)
    floor = ERROR_FLOOR * _standard_error(values)
    return _Draws(shift, np.sqrt(variance + floor**2))


def _standard_error(values: Values) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _unanimous(
    value: float, problems: int, low: float, high: float, quantile: float | None = None
) -> tuple[float, float]:
    """Interval where all problems agree: the share that may differ is Wilson's bound for none."""
    _, others = wilson(0.0, problems, quantile)
    return value - others * (value - low), value + others * (high - value)
