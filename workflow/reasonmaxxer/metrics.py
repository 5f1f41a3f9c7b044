"""Stage `metrics`: every figure of a run with its interval, and what the page draws.

Reads the run's tables once and writes three small files, so that the report needs nothing heavy.
All arms are held to one protocol: the same problems, prompts, samples and settings.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from . import tables
from .arms import base_of, lines, main_of, seeds_name, seeds_of
from .claims import claims, rl_arm
from .config.arms import OVERLAYS
from .cost import cost_ratio, cost_rows
from .errors import UserError
from .footprint.figures import analysis, metric_rows
from .provenance import provenance
from .readers import read_json
from .report.figures import figures
from .report.timings import Job, read_jobs
from .scores import Scores, check_protocol, load_scores, metric_values
from .statistics import (
    Difference,
    Estimate,
    Values,
    holm,
    mean_difference,
    mean_interval,
    mean_of_estimates,
    paired_difference,
    seeds_interval,
    share_interval,
    wilson,
)

HELP = "compute a run's figures with intervals, and collect what the report draws"

MEAN = "mean"  # the pseudo-benchmark: the plain mean over all benchmarks
ALPHA = 0.05
UNBOUNDED = ("length",)
MEMORISED = "completed-verbatim"

Row = dict[str, Any]
Suite = dict[str, dict[str, Scores]]  # benchmark -> arm -> scores
Metrics = dict[str, dict[str, dict[str, Values]]]  # benchmark -> arm -> metric -> values


def compute(manifest: Mapping[str, Any], jobs: Sequence[Job] = ()) -> tuple[dict[str, Any], Suite]:
    """Rows, differences, costs and claims of a run, and the scores behind them.

    `jobs` are the run's timings; without them costs have tokens and operations alone.
    """
    manifest = {**manifest, "arms": sized_arms(manifest["arms"])}
    suite = load_suite(manifest)
    metrics = {
        benchmark: {arm: metric_values(scores) for arm, scores in arms.items()}
        for benchmark, arms in suite.items()
    }
    rows = arm_rows(manifest, suite, metrics)
    rows += mean_rows(rows, list(suite))
    rows += seed_rows(manifest, rows)
    rows += contamination_rows(manifest)
    footprint = analysis(manifest)
    evidence = {**manifest.get("evidence", {}), **(footprint or {}).get("evidence", {})}
    rl = rl_arm(manifest["arms"], metrics)
    costs = cost_rows(manifest, jobs, rl)
    ratio = cost_ratio(manifest, costs, rl)
    if ratio is not None:
        evidence["cost_ratio"] = vars(ratio)
    found = {
        "run": manifest["run"],
        "rows": rows,
        "differences": all_differences(manifest, metrics, rows),
        "ablations": ablations(manifest, metrics),
        "claims": claims({**manifest, "evidence": evidence}, metrics),
        "footprint": footprint,
        "costs": costs,
    }
    return found, suite


def sized_arms(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The manifest's arms; distilled ones with the `share` of the base's parameters they have."""
    found = {}
    for name, arm in arms.items():
        record = arm.get("distillation")
        size: dict[str, Any] = read_json(record, "share", "rank") if record else {}
        found[name] = {**arm, **{key: size[key] for key in ("share", "rank") if size}}
    return found


def load_suite(manifest: Mapping[str, Any]) -> Suite:
    """All samples of all arms. Raises `UserError` when arms were not evaluated alike."""
    suite: Suite = {}
    for benchmark, settings in manifest["benchmarks"].items():
        suite[benchmark] = {
            name: load_scores(
                arm["evaluation"][benchmark],
                name,
                benchmark,
                settings["samples"],
                own_prompt=bool(arm.get("own_prompt")),
            )
            for name, arm in manifest["arms"].items()
            if arm["evaluation"].get(benchmark)
        }
        check_protocol(benchmark, suite[benchmark])
    return suite


# --- one arm ----------------------------------------------------------------------------------


def arm_rows(manifest: Mapping[str, Any], suite: Suite, metrics: Metrics) -> list[Row]:
    """A row for every (arm, benchmark, metric)."""
    return [
        {
            "arm": arm,
            "benchmark": benchmark,
            "metric": metric,
            **estimate_of(metric, values, suite[benchmark][arm]),
            "problems": suite[benchmark][arm].problems,
            "samples": suite[benchmark][arm].samples,
            "seed": manifest["arms"][arm].get("seed"),
        }
        for benchmark, arms in metrics.items()
        for arm, of_arm in arms.items()
        for metric, values in of_arm.items()
    ]


def estimate_of(metric: str, values: Values, scores: Scores) -> dict[str, float | None]:
    """Value and interval of one metric; all null where it is undefined (nothing parseable)."""
    if np.isnan(values).any():
        return dict.fromkeys(("value", "low", "high"))
    if metric in UNBOUNDED:
        return vars(mean_interval(values))
    if metric == "accuracy-parsed":
        informative = int(np.count_nonzero(scores.parsed.any(axis=1)))
        return vars(share_interval(values, max(2, scores.samples), informative))
    return vars(share_interval(values, scores.samples))


def mean_rows(rows: list[Row], benchmarks: list[str]) -> list[Row]:
    """The mean over benchmarks, for the arms and metrics that all benchmarks have."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["value"] is not None:
            groups.setdefault((row["arm"], row["metric"]), []).append(row)
    return [
        {
            **{"arm": arm, "benchmark": MEAN, "metric": metric},
            **vars(mean_of_estimates([_estimate(row) for row in group])),
            **{"problems": sum(row["problems"] for row in group), "samples": None},
            "seed": group[0]["seed"],
        }
        for (arm, metric), group in groups.items()
        if len(group) == len(benchmarks)
    ]


def seed_rows(manifest: Mapping[str, Any], rows: list[Row]) -> list[Row]:
    """Arms that differ in their training seed alone, as one line: Student's interval over seeds."""
    found = []
    for line, members in lines(manifest["arms"]).items():
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            if row["arm"] in members and row["value"] is not None:
                groups.setdefault((row["benchmark"], row["metric"]), []).append(row)
        found += [
            {
                **group[0],
                "arm": seeds_name(line),
                **vars(seeds_interval([row["value"] for row in group])),
                "seed": None,
            }
            for group in groups.values()
            if len(group) == len(members)
        ]
    return found


def contamination_rows(manifest: Mapping[str, Any]) -> list[Row]:
    """Share of each benchmark's problems that the base completes verbatim, where it was asked."""
    path = manifest.get("contamination")
    if not path:
        return []
    found = read_json(path, "benchmarks")["benchmarks"]
    return [
        {
            **{"arm": base_of(manifest["arms"]), "benchmark": benchmark, "metric": MEMORISED},
            **vars(_share(len(entry["completed"]), entry["problems"])),
            **{"problems": entry["problems"], "samples": 1, "seed": None},
        }
        for benchmark, entry in found.items()
        if entry["problems"]
    ]


def _share(count: int, problems: int) -> Estimate:
    return Estimate(count / problems, *wilson(count / problems, problems))


# --- two arms ---------------------------------------------------------------------------------


def all_differences(manifest: Mapping[str, Any], metrics: Metrics, rows: list[Row]) -> list[Row]:
    """Every arm against the base, paired by problem, p-values corrected by Holm.

    A metric's comparisons over arms and benchmarks are one family; those of the mean over
    benchmarks are another, and so are those of the lines over seeds.
    """
    base = base_of(manifest["arms"])
    compared = [
        arm
        for arm, entry in manifest["arms"].items()
        if arm != base and not entry.get("own_prompt")
    ]
    found = [row for arm in compared for row in differences(metrics, arm, base)]
    found += seed_differences(manifest, rows, base)
    families: dict[tuple[str, bool, bool], list[Row]] = {}
    for row in found:
        key = (row["metric"], row["benchmark"] == MEAN, row["arm"] not in manifest["arms"])
        families.setdefault(key, []).append(row)
    for family in families.values():
        for row, p in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_corrected"] = p
            row["statement"] = statement(row)
    return found


def differences(metrics: Metrics, arm: str, base: str) -> list[Row]:
    """arm - base for each benchmark and metric, and for the mean over benchmarks."""
    found: list[Row] = []
    parts: dict[str, list[tuple[Values, int]]] = {}
    shared = [name for name, arms in metrics.items() if arm in arms and base in arms]
    for benchmark in shared:
        ours, theirs = metrics[benchmark][arm], metrics[benchmark][base]
        for metric in ours:
            if np.isnan(ours[metric]).any() or np.isnan(theirs[metric]).any():
                continue
            seed = resampling_seed(benchmark)
            bounds = _bounds(metric)
            difference = paired_difference(ours[metric], theirs[metric], bounds, seed)
            found.append(_difference_row(arm, base, benchmark, metric, difference))
            parts.setdefault(metric, []).append((ours[metric] - theirs[metric], seed))
    for metric, pieces in parts.items():
        if len(pieces) == len(metrics):
            values, seeds = zip(*pieces, strict=True)
            difference = mean_difference(values, _bounds(metric), seeds)
            found.append(_difference_row(arm, base, MEAN, metric, difference))
    return found


def seed_differences(manifest: Mapping[str, Any], rows: list[Row], base: str) -> list[Row]:
    """Lines over seeds against the base: Student's interval and test over the seeds."""
    values = {(row["arm"], row["benchmark"], row["metric"]): row["value"] for row in rows}
    found = []
    for line, members in lines(manifest["arms"]).items():
        if base in members:
            continue
        for benchmark, metric in dict.fromkeys((b, m) for a, b, m in values if a == base):
            theirs = values[base, benchmark, metric]
            ours = [values.get((member, benchmark, metric)) for member in members]
            if theirs is None or any(value is None for value in ours):
                continue
            difference = _over_seeds([value - theirs for value in ours if value is not None])
            found.append(_difference_row(seeds_name(line), base, benchmark, metric, difference))
    return found


def ablations(manifest: Mapping[str, Any], metrics: Metrics) -> list[Row]:
    """Every other arm that is made here against the main one, each seed against the same seed.

    The mean over the benchmarks that both have, since ablations may be evaluated on one alone. An
    arm's interval is over problems, paired; a line's over its seeds is Student's. p-values are
    corrected by Holm over these rows.
    """
    arms, main = manifest["arms"], main_of(manifest["arms"])
    made = [arm for arm, entry in arms.items() if entry["kind"] in OVERLAYS]
    others = [arm for arm in made if main is not None and arm not in seeds_of(arms, main)]
    found = []
    for line in dict.fromkeys(arms[arm]["line"] for arm in others):
        pairs = [(arm, _same_seed(arms, str(main), arm)) for arm in seeds_of(arms, line)]
        shared = [b for b, of_arm in metrics.items() if all({*pair} <= {*of_arm} for pair in pairs)]
        if not shared:
            continue
        gains = [_gain(metrics, shared, arm, rival) for arm, rival in pairs]
        several = len(gains) > 1
        difference = _over_seeds([gain.value for gain in gains]) if several else gains[0]
        name = seeds_name(line) if several else line
        row = _difference_row(name, str(main), MEAN, "accuracy", difference)
        found.append({**row, "benchmarks": shared})
    for row, p in zip(found, holm([row["p"] for row in found]), strict=True):
        row["p_corrected"] = p
        row["statement"] = statement(row)
    return found


def _same_seed(arms: Mapping[str, Any], main: str, arm: str) -> str:
    """The main arm under the seed of another, where there is one."""
    same = (name for name in seeds_of(arms, main) if arms[name]["seed"] == arms[arm]["seed"])
    return next(same, main)


def _gain(metrics: Metrics, benchmarks: Sequence[str], arm: str, rival: str) -> Difference:
    parts = [metrics[b][arm]["accuracy"] - metrics[b][rival]["accuracy"] for b in benchmarks]
    return mean_difference(parts, (-1.0, 1.0), [resampling_seed(name) for name in benchmarks])


def _over_seeds(gains: Sequence[float]) -> Difference:
    """The mean gain with Student's interval and test over the seeds."""
    p = 1.0 if np.ptp(gains) == 0 else float(stats.ttest_1samp(gains, 0.0).pvalue)
    return Difference(**vars(seeds_interval(gains)), p=p)


def statement(row: Mapping[str, Any]) -> str:
    """A difference in words; "no difference shown" unless the corrected test finds one."""
    scale, unit = (1, "tokens") if row["metric"] in UNBOUNDED else (100, "points")
    value, low, high = (scale * row[key] for key in ("value", "low", "high"))
    interval = f"{value:+.1f} {unit}, 95% interval {low:+.1f} to {high:+.1f}"
    if row["p_corrected"] > ALPHA:
        return f"no difference shown ({interval})"
    return f"{'higher' if value > 0 else 'lower'} ({interval})"


def resampling_seed(benchmark: str) -> int:
    """Each benchmark is resampled in its own way, every metric and arm of it alike."""
    return zlib.crc32(benchmark.encode())


def _bounds(metric: str) -> tuple[float, float] | None:
    return None if metric in UNBOUNDED else (-1.0, 1.0)


def _difference_row(
    arm: str, base: str, benchmark: str, metric: str, difference: Difference
) -> Row:
    place = {"arm": arm, "base": base, "benchmark": benchmark, "metric": metric}
    return {**place, **vars(difference)}


def _estimate(row: Row) -> Estimate:
    return Estimate(row["value"], row["low"], row["high"])


# --- the command ------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--manifest", required=True, help="where the run's files lie: JSON, or a file of it"
    )
    parser.add_argument("--out", required=True, type=Path, help="JSON of all figures to write")
    parser.add_argument("--table", required=True, type=Path, help="the same rows as Parquet")
    parser.add_argument(
        "--differences", required=True, type=Path, help="the differences as Parquet"
    )
    parser.add_argument("--benchmarks-dir", type=Path, help="Snakemake's timings of the jobs")
    parser.add_argument("--figures", required=True, type=Path, help="JSON for the report to write")


def main(args: argparse.Namespace) -> None:
    manifest = read_manifest(args.manifest)
    found, suite = compute(manifest, read_jobs(args.benchmarks_dir) if args.benchmarks_dir else [])
    made_by = provenance("metrics", {"run": manifest["run"]})
    tables.write(args.differences, "differences", found["differences"], made_by)
    rows = [*found["rows"], *metric_rows(found["footprint"])]
    tables.write(args.table, "metrics", rows, made_by)
    tables.write_text(args.out, json.dumps({**found, "provenance": made_by}, indent=1) + "\n")
    drawn = figures(manifest, suite)
    tables.write_text(args.figures, json.dumps(drawn, separators=(",", ":")) + "\n")


def read_manifest(given: str) -> dict[str, Any]:
    """The manifest from a JSON string or from the file of that name."""
    try:
        text = given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8")
        return dict(json.loads(text))
    except (OSError, ValueError) as error:
        raise UserError(f"--manifest: {given[:80]}: cannot be read: {error}") from error
