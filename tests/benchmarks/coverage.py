"""How often the intervals of `reasonmaxxer.statistics` hold the true value.

    python tests/benchmarks/coverage.py [--benchmarks 2000]

Simulates whole benchmarks: problems whose rates follow a beta distribution around the true rate
(most problems are either easy or hard, as on real ones), samples drawn from each problem's rate.
A 95% interval should hold the truth in 93 to 97% of them; at a rate of 0.02 a few successes decide
and an interval cannot be exact, so there it must only not be too narrow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow"))

from reasonmaxxer.analysis.statistics import Estimate, paired_difference, share_interval

RATES = (0.02, 0.3, 0.7)
PROBLEMS = (30, 500)
SAMPLES = (1, 4, 8, 32)
GAINS = (0.0, 0.1)


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
                    _print(head, two, gain * (1 - rate), count, rate < 0.1)


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
        return paired_difference(arm, base)

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
