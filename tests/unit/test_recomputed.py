"""A run's figures recomputed from its samples by pandas and scipy alone, as docs/report.md says.

Nothing of the package is used but the command that made metrics.json.
"""

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import synthetic
from scipy import optimize, stats

from reasonmaxxer import __main__

ARMS = {"base": 0.35, "random-gate": 0.4}
ARMS |= {"reasonmaxxer": 0.6, "reasonmaxxer+seed=43": 0.6, "reasonmaxxer+seed=44": 0.6}
ARMS |= {"reasonmaxxer+tau=0.2": 0.5}
# Differing problems: more than 25 on the first, fewer on the others.
BENCHMARKS = {"chains": (60, 8), "small": (24, 4), "single": (40, 1)}
SEEDS = [name for name in ARMS if name.startswith("reasonmaxxer") and "tau" not in name]
LINE = "reasonmaxxer+seed=*"
LEVEL, FLOOR, FEW, EXACT_BELOW = 0.95, 0.1, 10, 25
SHARES = {
    "accuracy": lambda rows: rows.verdict == "correct",
    "unparseable": lambda rows: rows.verdict == "unparseable",
    "truncated": lambda rows: rows.finish_reason == "length",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """metrics.json by key, and the values of a problem: (arm, benchmark, metric) -> array."""
    folder = tmp_path_factory.mktemp("run")
    manifest = synthetic.make_run(folder, arms=ARMS, benchmarks=BENCHMARKS, length=12)
    command = ["metrics", "--manifest", json.dumps(manifest)]
    for flag in ("out", "table", "differences", "figures"):
        command += [f"--{flag}", str(folder / flag)]
    __main__.main(command)
    found = json.loads((folder / "out").read_text(encoding="utf-8"))
    values = {}
    for arm in ARMS:
        for benchmark in BENCHMARKS:
            paths = manifest["arms"][arm]["evaluation"][benchmark]
            rows = pd.concat(map(pd.read_parquet, paths))
            for metric, of_samples in SHARES.items():
                right = of_samples(rows).groupby(rows.problem_id).mean()
                values[arm, benchmark, metric] = right.sort_index().to_numpy(dtype=float)
    keys = ("arm", "benchmark", "metric")
    return {
        "values": values,
        **{k: {tuple(r[k] for k in keys): r for r in found[k]} for k in ("rows", "differences")},
    }


def members(arm: str) -> list[str]:
    return SEEDS if arm == LINE else [arm]


def of_seeds(run: dict[str, Any], arm: str, benchmark: str, metric: str) -> np.ndarray:
    """[seeds, problems]"""
    return np.stack([run["values"][name, benchmark, metric] for name in members(arm)])


# --- one arm ------------------------------------------------------------------------------------


def wilson(share: float, trials: float, z: float) -> tuple[float, float]:
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / 4 / trials**2)
    return max(0.0, centre - half), min(1.0, centre + half)


def share_interval(values: np.ndarray, samples: int) -> tuple[float, float]:
    """Of one value a problem."""
    z, count, share = stats.norm.ppf(0.975), len(values), values.mean()
    if np.ptp(values) == 0:
        most = wilson(0, count, z)[1]
        return share - most * share, share + most * (1 - share)
    differing = min((values > 0).sum(), (values < 1).sum())
    if samples == 1 or differing < FEW:
        return wilson(share, count, z)
    trials = max(share * (1 - share) / (values.var(ddof=1) / count), 1)
    return wilson(share, trials, stats.t.ppf(0.975, count - 1))


def seeds_error(parts: Sequence[np.ndarray]) -> float:
    """What seeds add to the standard error of a mean over benchmarks; 0 for one seed."""
    count = len(parts[0])
    if count == 1:
        return 0.0
    means = np.mean([part.mean(axis=1) for part in parts], axis=0)
    inside = 0.0
    for part in parts:
        frame = pd.DataFrame(part)
        rest = frame.sub(frame.mean(axis=1), axis=0) - frame.mean(axis=0) + part.mean()
        square = (rest**2).to_numpy().sum() / ((count - 1) * (part.shape[1] - 1))
        inside += square / part.size / len(parts) ** 2
    return float(np.sqrt(max(0.0, means.var(ddof=1) / count - inside)))


def with_seeds(
    value: float, bounds: tuple[float, float], error: float, seeds: int, alpha: float = 0.05
) -> tuple[float, float]:
    half = stats.t.ppf(1 - alpha / 2, seeds - 1) * error if seeds > 1 else 0.0
    return value - np.hypot(value - bounds[0], half), value + np.hypot(bounds[1] - value, half)


def test_every_value_and_interval_of_an_arm(run: dict[str, Any]) -> None:
    for arm in [*ARMS, LINE]:
        for metric in SHARES:
            parts, bounds, means = [], [], []
            for benchmark, (_, samples) in BENCHMARKS.items():
                part = of_seeds(run, arm, benchmark, metric)
                parts.append(part)
                bounds.append(share_interval(part.mean(axis=0), samples * len(part)))
                means.append(part.mean())
                expected = with_seeds(part.mean(), bounds[-1], seeds_error([part]), len(part))
                agrees(run["rows"][arm, benchmark, metric], part.mean(), *expected)
            mean = float(np.mean(means))
            away = [
                np.linalg.norm([m - b[side] for m, b in zip(means, bounds, strict=True)])
                for side in (0, 1)
            ]
            over_problems = mean - away[0] / len(parts), mean + away[1] / len(parts)
            expected = with_seeds(mean, over_problems, seeds_error(parts), len(parts[0]))
            agrees(run["rows"][arm, "mean", metric], mean, *expected)


# --- two arms -----------------------------------------------------------------------------------


def resampled(values: np.ndarray, benchmark: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """How far the mean of each resample is off, and its standard error."""
    seed = [len(values), zlib.crc32(benchmark.encode())]
    drawn = values[np.random.default_rng(seed).integers(len(values), size=(count, len(values)))]
    floor = FLOOR * stats.sem(values)
    return drawn.mean(axis=1) - values.mean(), np.hypot(stats.sem(drawn, axis=1), floor)


def bootstrap(parts: dict[str, np.ndarray], count: int) -> tuple[np.ndarray, float]:
    """|t| of the resamples, sorted, and the standard error of the mean over benchmarks."""
    spread = {name: part for name, part in parts.items() if np.ptp(part) > 0}
    draws = [resampled(part, name, count) for name, part in spread.items()]
    shift, error = sum(d[0] for d in draws), np.linalg.norm([d[1] for d in draws], axis=0)
    own = np.linalg.norm([stats.sem(part) for part in spread.values()]) / len(parts)
    return np.sort(np.abs(shift) / error), float(own)


def exact(parts: dict[str, np.ndarray], alpha: float) -> tuple[float, float, float]:
    """p, low and high by the signs of the few differences, which are enumerated."""
    weighed = np.concatenate([part / len(part) / len(parts) for part in parts.values()])
    sizes, value = np.abs(weighed[np.abs(weighed) > 1e-15]), weighed.sum()
    size, count, problems = sizes.sum(), len(sizes), len(weighed)
    error = np.linalg.norm([stats.sem(np.abs(part)) for part in parts.values()]) / len(parts)
    trials = max(1.0, size * (1 - size) / error**2)
    ways = Counter({(0, 0.0): 1})  # subsets by how many are in them and what they add up to
    for one in sizes:
        with_it = Counter({(n + 1, round(sum_ + one, 12)): c for (n, sum_), c in ways.items()})
        ways = ways + with_it
    picked, sums, times = np.array([(*key, c) for key, c in ways.items()]).T
    gained = weighed[weighed > 0].sum()
    tails = [
        (picked[inside], times[inside])
        for inside in (sums >= gained - 1e-9 * size, sums <= gained + 1e-9 * size)
    ]

    def chance(tail: tuple[np.ndarray, np.ndarray], theta: float) -> float:
        n, c = tail
        return float((c * theta**n * (1 - theta) ** (count - n)).sum())

    def edge(tail: tuple[np.ndarray, np.ndarray], otherwise: float) -> float:
        if chance(tail, otherwise) > alpha / 2:
            return 2 * otherwise - 1
        return 2 * optimize.brentq(lambda x: chance(tail, x) - alpha / 2, 0, 1, xtol=1e-12) - 1

    least, most, sign = edge(tails[0], 0.0), edge(tails[1], 1.0), value / size
    small, large = wilson(size, trials, stats.t.ppf(1 - alpha / 2, problems - 1))
    down, up = size - small, large - size
    down, up = (down, up) if sign >= 0 else (up, down)
    low = value - np.hypot((sign - least) * size, sign * down)
    high = value + np.hypot((most - sign) * size, sign * up)
    low = max(low, least * small) if least > 0 else low
    high = min(high, most * small) if most < 0 else high
    return min(1.0, 2 * min(chance(tail, 0.5) for tail in tails)), low, high


def unanimous(parts: dict[str, np.ndarray], alpha: float) -> tuple[float, float]:
    """Where no problem differs from the others of its benchmark."""
    z, away = stats.norm.ppf(1 - alpha / 2), []
    for part in parts.values():
        most = wilson(0, len(part), z)[1]
        away.append((most * (part.mean() + 1), most * (1 - part.mean())))
    value = np.mean([part.mean() for part in parts.values()])
    below, above = np.linalg.norm(away, axis=0) / len(parts)
    return value - below, value + above


def compare(
    parts: dict[str, np.ndarray], comparisons: int
) -> tuple[float, float, float, float, str]:
    """Value, low, high, p and the method of differences [seeds, problems] by benchmark."""
    means = {name: part.mean(axis=0) for name, part in parts.items()}
    value = float(np.mean([part.mean() for part in means.values()]))
    differing = sum(np.count_nonzero(np.abs(part) > 1e-15) for part in means.values())
    problems = sum(len(part) for part in means.values())
    seeds, error = len(next(iter(parts.values()))), seeds_error(list(parts.values()))
    count = max(9_999, 40 * comparisons - 1)
    if 0 < differing < EXACT_BELOW:
        how, p = "exact", exact(means, 0.05)[0]
    elif all(np.ptp(part) == 0 for part in means.values()):
        how, p = "unanimous", min(1.0, 2 * 0.5**problems) if value else 1.0
    else:
        how, (t, own) = "bootstrap", bootstrap(means, count)
        p = (1 + np.sum(t >= abs(value) / own - 1e-12)) / (1 + count)

    def interval(alpha: float) -> tuple[float, float]:
        if how == "exact":
            bounds = exact(means, alpha)[1:]
        elif how == "unanimous":
            bounds = unanimous(means, alpha)
        else:
            half = t[max(0, int(np.ceil((1 - alpha) * count)) - 1)] * own
            bounds = value - half, value + half
        return with_seeds(value, bounds, error, seeds, alpha)

    if seeds > 1:  # the alpha whose interval has zero for its near end
        least, most = p, 1.0
        for _ in range(60):
            middle = (least + most) / 2
            low, high = interval(middle)
            least, most = (least, middle) if low > 0 or high < 0 else (middle, most)
        p = most
    low, high = interval(0.05)
    return value, max(-1.0, low), min(1.0, high), p, how


def test_every_difference_with_its_interval_and_p(run: dict[str, Any]) -> None:
    methods = set()
    families: dict[tuple[str, str], list[tuple[dict[str, Any], float]]] = {}
    for (arm, benchmark, metric), row in run["differences"].items():
        if metric not in SHARES:
            continue
        names = list(BENCHMARKS) if benchmark == "mean" else [benchmark]
        base = {name: run["values"]["base", name, metric] for name in names}
        parts = {name: of_seeds(run, arm, name, metric) - base[name] for name in names}
        value, low, high, p, how = compare(parts, row["comparisons"])
        methods.add(how)
        agrees(row, value, low, high)
        assert row["p"] == pytest.approx(p, rel=1e-6), (arm, benchmark, metric, how)
        families.setdefault((row["family"], metric), []).append((row, p))
    assert {"exact", "bootstrap"} <= methods
    assert {family for family, _ in families} == {
        f"{group}, {kind}"
        for group in ("main table", "single seeds", "sweeps")
        for kind in ("benchmarks", "means")
    }
    for members_ in families.values():
        corrected = holm([p for _, p in members_])
        for (row, _), expected in zip(members_, corrected, strict=True):
            assert row["comparisons"] == len(members_)
            assert row["p_corrected"] == pytest.approx(expected, rel=1e-6)


def holm(p: Sequence[float]) -> pd.Series:
    """Each p times the number of those that are not smaller; never less than a smaller one's."""
    ordered = pd.Series(p).sort_values(kind="stable")
    return (ordered * range(len(p), 0, -1)).clip(upper=1).cummax().sort_index()


def agrees(row: dict[str, Any], value: float, low: float, high: float) -> None:
    found = row["value"], row["low"], row["high"]
    name = row["arm"], row["benchmark"], row["metric"]
    assert found == pytest.approx((value, low, high), abs=1e-9), name
