"""One arm against another: which seeds stand for each, and one interval over problems and seeds."""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from .arms import Arms, seeds_of
from .statistics import RESAMPLES, Difference, Values, mean_difference, seeds_spread

Metrics = Mapping[str, Mapping[str, Mapping[str, Values]]]  # benchmark -> arm -> metric -> values
Sides = tuple[list[str], list[str]]

UNBOUNDED = ("length",)  # metrics that are no shares


def resampling_seed(benchmark: str) -> int:
    """Each benchmark is resampled in its own way, every metric and arm of it alike."""
    return zlib.crc32(benchmark.encode())


def bounds(metric: str) -> tuple[float, float] | None:
    """The values that a problem's difference in a metric can take."""
    return None if metric in UNBOUNDED else (-1.0, 1.0)


def sides(arms: Arms, one: str, other: str) -> Sides:
    """The arms that stand for two lines: all their seeds.

    A line of one seed is held against that seed of the other, where it has it.
    """
    ours, theirs = seeds_of(arms, one), seeds_of(arms, other)
    if len(ours) == 1:
        theirs = [name for name in theirs if _same_seed(arms, name, one)] or theirs
    if len(theirs) == 1:
        ours = [name for name in ours if _same_seed(arms, name, theirs[0])] or ours
    return ours, theirs


def shared(metrics: Metrics, names: Sequence[str], metric: str = "accuracy") -> list[str]:
    """The benchmarks on which all these arms have a metric."""
    return [
        benchmark
        for benchmark, of_arm in metrics.items()
        if not any(np.isnan(of_arm.get(name, {}).get(metric, np.nan)).any() for name in names)
    ]


def stacked(
    metrics: Metrics, names: Sequence[str], benchmarks: Sequence[str], metric: str
) -> list[Values]:
    """A metric's values as [arms, problems], a benchmark each."""
    return [np.stack([metrics[b][name][metric] for name in names]) for b in benchmarks]


def difference(
    arms: Arms,
    metrics: Metrics,
    between: Sides,
    metric: Mapping[str, str],
    resamples: int = RESAMPLES,
) -> Difference:
    """Mean over benchmarks of ours - theirs, paired by problem; each side is averaged over seeds.

    The interval is over problems and seeds. Where both sides have the same seeds, these are paired
    too. `metric` is by benchmark; all arms must have it there.
    """
    ours, theirs = (
        [np.stack([metrics[b][name][m] for name in names]) for b, m in metric.items()]
        for names in between
    )
    seeds = [[arms[name]["seed"] for name in names] for names in between]
    if seeds[0] == seeds[1]:
        spreads = [seeds_spread([one - other for one, other in zip(ours, theirs, strict=True)])]
    else:
        spreads = [seeds_spread(ours), seeds_spread(theirs)]
    return mean_difference(
        [one.mean(axis=0) - other.mean(axis=0) for one, other in zip(ours, theirs, strict=True)],
        bounds(next(iter(metric.values()))),
        [resampling_seed(benchmark) for benchmark in metric],
        resamples,
        [spread for spread in spreads if spread is not None],
    )


def _same_seed(arms: Arms, one: str, other: str) -> bool:
    return arms[one]["seed"] is not None and arms[one]["seed"] == arms[other]["seed"]
