"""How often the intervals of `reasonmaxxer.analysis.statistics` hold the true value.

    python tests/benchmarks/coverage.py [--benchmarks 2000]

Simulates whole benchmarks: problems whose rates follow a beta distribution around the true rate
(most problems are either easy or hard, as on real ones), samples drawn from each problem's rate.
A 95% interval should hold the truth in 93 to 97% of them. At a rate of 0.02 a few successes decide
and an interval cannot be exact, and where fewer than 25 problems differ the test is exact and its
interval holds the truth at least as often as it says: there it must only not be too narrow.

Then whole runs: six benchmarks of the lab's sizes, a method trained with several seeds that differ
by so much in their gain, against the base or against another method with the same seeds.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow"))

from reasonmaxxer.analysis.statistics import (
    EXACT_BELOW,
    Estimate,
    Values,
    mean_difference,
    seeds_spread,
    share_interval,
)

RATES = (0.02, 0.3, 0.7)
PROBLEMS = (30, 500)
SAMPLES = (1, 4, 8, 32)
GAINS = (0.0, 0.1)
BENCHMARKS = ((300, 4), (300, 4), (200, 4), (300, 4), (30, 16), (40, 16))  # problems, samples
SEEDS = (3, 5)
SPREADS = (0.0, 0.01, 0.02, 0.04)  # of the seeds, in the mean gain
RESAMPLES = 999  # enough for a share of 2,000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmarks", type=int, default=2000, help="simulated for each row")
    parser.add_argument("--seed", type=int, default=0)
    count = parser.parse_args().benchmarks
    rng = np.random.default_rng(parser.parse_args().seed)
    print(f"{count} simulated benchmarks a row\n\none arm")
    print("problems  rate  samples    held  truth below  truth above   mean width")
    for problems in PROBLEMS:
        for rate in RATES:
            for samples in SAMPLES:
                one = _one_arm(rng, problems, rate, samples)
                _print(f"{problems:8}  {rate:4}  {samples:7}", one, rate, count, rate < 0.1)
    print("\ndifference of two arms, paired by problem")
    print("problems  rate  samples  gain    held  truth below  truth above   mean width")
    for problems in PROBLEMS:
        for rate in RATES:
            for samples in SAMPLES[:3:2]:
                for gain in GAINS:
                    two = _two_arms(rng, problems, rate, samples, gain)
                    head = f"{problems:8}  {rate:4}  {samples:7}  {gain:4}"
                    few = problems < 2 * EXACT_BELOW
                    _print(head, two, gain * (1 - rate), count, few or rate < 0.1)
    over = f"mean gain over {len(BENCHMARKS)} benchmarks"
    print(f"\n{over}: share of {count} runs whose interval holds it")
    print("seeds  their spread  against         seeds alone  problems alone    both   mean width")
    for seeds in SEEDS:
        for spread in SPREADS:
            for against in ("the base", "another arm"):
                _print_runs(rng, seeds, spread, against, count)


def _print_runs(
    rng: np.random.Generator, seeds: int, spread: float, against: str, count: int
) -> None:
    held, width = np.zeros(3), 0.0
    for _ in range(count):
        parts, truth = _run(rng, seeds, spread, against == "another arm")
        problems = [part.mean(axis=0) for part in parts]
        means = np.mean([part.mean(axis=1) for part in parts], axis=0)
        student = stats.t.interval(0.95, seeds - 1, means.mean(), max(stats.sem(means), 1e-12))
        alone = mean_difference(problems, resamples=RESAMPLES)
        both = mean_difference(problems, resamples=RESAMPLES, spreads=[seeds_spread(parts)])
        intervals = (student, (alone.low, alone.high), (both.low, both.high))
        held += [low <= truth <= high for low, high in intervals]
        width += (both.high - both.low) / count
    mark = "" if 0.93 <= held[2] / count <= 0.97 else "  outside 93-97%"
    shares = [f"{share:.1%}" for share in held / count]
    head = f"{seeds:5}  {spread:12}  {against:14}"
    print(
        f"{head}  {shares[0]:>11}  {shares[1]:>14}  {shares[2]:>6}  {width:11.4f}{mark}", flush=True
    )


def _run(
    rng: np.random.Generator, seeds: int, spread: float, paired: bool
) -> tuple[list[Values], float]:
    """Differences of each benchmark as [seeds, problems], and the gain of the population.

    An arm closes a share of what the base leaves wrong: 0.4 of it on average, more or less by the
    seed and by the problem. The base solves half.
    """
    rate, closed = 0.5, 0.4
    lifts = rng.normal(0, spread / (1 - rate), size=(2, seeds))
    parts = []
    for problems, samples in BENCHMARKS:
        rates = rng.beta(rate, 1 - rate, size=problems)
        arms = []
        for lift in lifts:
            share = closed + rng.uniform(-0.2, 0.2, size=problems) + lift[:, None]
            solved = rates + (1 - rates) * np.clip(share, 0, 1)
            arms.append(rng.binomial(samples, solved) / samples)
        base = rng.binomial(samples, rates) / samples
        parts.append(arms[0] - (arms[1] if paired else base))
    return parts, 0.0 if paired else closed * (1 - rate)


def _one_arm(
    rng: np.random.Generator, problems: int, rate: float, samples: int
) -> Callable[[], Estimate]:
    def draw() -> Estimate:
        rates = rng.beta(rate, 1 - rate, size=problems)
        return share_interval(rng.binomial(samples, rates) / samples, samples)

    return draw


def _two_arms(
    rng: np.random.Generator, problems: int, rate: float, samples: int, gain: float
) -> Callable[[], Estimate]:
    def draw() -> Estimate:
        rates = rng.beta(rate, 1 - rate, size=problems)
        better = rates + gain * (1 - rates)
        arm, base = (rng.binomial(samples, q) / samples for q in (better, rates))
        return mean_difference([arm - base], resamples=RESAMPLES)

    return draw


def _print(
    head: str, draw: Callable[[], Estimate], truth: float, count: int, one_sided: bool
) -> None:
    found = [draw() for _ in range(count)]
    below = sum(e.low > truth + 1e-12 for e in found) / count
    above = sum(e.high < truth - 1e-12 for e in found) / count
    held = 1 - below - above
    width = sum(e.high - e.low for e in found) / count
    good = held >= 0.93 and (one_sided or held <= 0.97)
    mark = "" if good else "  outside 93-97%"
    print(f"{head}  {held:6.1%}  {below:11.1%}  {above:11.1%}  {width:11.4f}{mark}", flush=True)


if __name__ == "__main__":
    main()
