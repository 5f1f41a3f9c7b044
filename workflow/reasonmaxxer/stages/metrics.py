"""Stage `metrics`: every figure of a run with its interval, and what the page draws.

Reads the run's tables once and writes three small files, so that the report needs nothing heavy.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import tables
from ..analysis.arms import Arms, base_of, compared, main_of, seeds_name, seeds_of
from ..analysis.claims import claims, rl_arm
from ..analysis.comparisons import UNBOUNDED, Metrics, Sides, difference, shared, sides, stacked
from ..analysis.cost import cost_ratio, cost_rows
from ..analysis.figures import figures
from ..analysis.footprint import analysis, metric_rows
from ..analysis.results import Scores, check_protocol, load_scores, metric_values
from ..analysis.statistics import (
    RESAMPLES,
    Estimate,
    Values,
    holm,
    mean_interval,
    mean_of_estimates,
    seeds_spread,
    share_interval,
    wilson,
    with_seeds,
)
from ..analysis.timings import Job, read_jobs, unit_of
from ..errors import UserError
from ..method.kinds import MADE
from ..tables.artefacts import read_json
from ..tables.provenance import provenance

HELP = "compute a run's figures with intervals, and collect what the report draws"

MEAN = "mean"  # the pseudo-benchmark: the plain mean over all benchmarks
ALPHA = 0.05
MEMORISED = "completed-verbatim"

Row = dict[str, Any]
Suite = dict[str, dict[str, Scores]]  # benchmark -> arm -> scores


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
        "differences": all_differences(manifest, metrics),
        "ablations": ablations(manifest, metrics),
        "claims": claims({**manifest, "evidence": evidence}, metrics),
        "footprint": footprint,
        "costs": costs,
        "cost_unit": unit_of(jobs),
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
    """A row for every arm, or line over seeds, and metric: each benchmark's, and their mean."""
    found: list[Row] = []
    for name, members in compared(manifest["arms"]).items():
        seed = manifest["arms"][name].get("seed") if name in manifest["arms"] else None
        for metric in metric_names(metrics, members[0]):
            places = [b for b in suite if all(metric in metrics[b].get(m, {}) for m in members)]
            values = stacked(metrics, members, places, metric)
            rows: list[Row] = []
            known: list[Estimate] = []
            for benchmark, own in zip(places, values, strict=True):
                scores = [suite[benchmark][member] for member in members]
                size = {"problems": scores[0].problems, "samples": scores[0].samples}
                part = estimate_of(metric, own, scores)
                known += [part] if part is not None else []
                rows.append({"benchmark": benchmark, **_interval(part, [own]), **size})
            if known and len(known) == len(suite):
                mean = _interval(mean_of_estimates(known), values)
                problems = sum(row["problems"] for row in rows)
                rows.append({"benchmark": MEAN, **mean, "problems": problems, "samples": None})
            found += [{"arm": name, "metric": metric, **row, "seed": seed} for row in rows]
    return found


def metric_names(metrics: Metrics, arm: str) -> list[str]:
    """An arm's metrics, on any benchmark."""
    return list(dict.fromkeys(metric for arms in metrics.values() for metric in arms.get(arm, ())))


def _interval(found: Estimate | None, values: Sequence[Values]) -> dict[str, float | None]:
    """Value and interval over problems and seeds; all null where it is undefined."""
    if found is None:
        return dict.fromkeys(("value", "low", "high"))
    return vars(with_seeds(found, seeds_spread(values)))


def estimate_of(metric: str, values: Values, scores: Sequence[Scores]) -> Estimate | None:
    """A metric's value and its interval over problems; None where nothing was parseable.

    `values` are [arms, problems], of arms that differ in their seed alone.
    """
    samples, over_problems = scores[0].samples * len(scores), values.mean(axis=0)
    if np.isnan(over_problems).any():
        return None
    if metric in UNBOUNDED:
        return mean_interval(over_problems)
    if metric == "accuracy-parsed":
        parsed = min(int(of_arm.parsed.any(axis=1).sum()) for of_arm in scores)
        return share_interval(over_problems, max(2, samples), parsed)
    return share_interval(over_problems, samples)


def contamination_rows(manifest: Mapping[str, Any]) -> list[Row]:
    """Share of each benchmark's problems that the base completes verbatim, where it was asked."""
    path = manifest.get("memorization")
    if not path:
        return []
    found = read_json(path, "benchmarks")["benchmarks"]
    return [
        {
            **{"arm": base_of(manifest["arms"]), "benchmark": benchmark, "metric": MEMORISED},
            **{"value": (share := len(entry["completed"]) / entry["problems"])},
            **dict(zip(("low", "high"), wilson(share, entry["problems"]), strict=True)),
            **{"problems": entry["problems"], "samples": 1, "seed": None},
        }
        for benchmark, entry in found.items()
        if entry["problems"]
    ]


# --- two arms ---------------------------------------------------------------------------------


def all_differences(manifest: Mapping[str, Any], metrics: Metrics) -> list[Row]:
    """Every arm, and line over seeds, against the base, paired by problem.

    p-values are corrected by Holm, the comparisons of a family and metric together.
    """
    arms, base = manifest["arms"], base_of(manifest["arms"])
    found: list[Row] = []
    compare: list[tuple[Sides, dict[str, str]]] = []
    for name, members in compared(arms).items():
        if base in members or arms[members[0]].get("own_prompt"):
            continue
        for metric in metric_names(metrics, members[0]):
            for place, benchmarks in _places(metrics, [*members, base], metric):
                row = {"arm": name, "base": base, "benchmark": place, "metric": metric}
                found.append({**row, "family": _family(arms, metrics, name, members, place)})
                compare.append(((members, [base]), dict.fromkeys(benchmarks, metric)))
    families: dict[tuple[str, str], list[Row]] = {}
    for row in found:
        families.setdefault((row["family"], row["metric"]), []).append(row)
    for row, between in zip(found, compare, strict=True):
        many = resamples(len(families[row["family"], row["metric"]]))
        row |= vars(difference(arms, metrics, *between, many))
    for family in families.values():
        corrected(family)
    return found


def _places(metrics: Metrics, names: Sequence[str], metric: str) -> list[tuple[str, list[str]]]:
    """Each benchmark that all these arms have, and the mean where they have all."""
    benchmarks = shared(metrics, names, metric)
    whole = [(MEAN, benchmarks)] if len(benchmarks) == len(metrics) else []
    return [*((name, [name]) for name in benchmarks), *whole]


def _family(arms: Arms, metrics: Metrics, name: str, members: Sequence[str], place: str) -> str:
    """What a comparison is corrected together with.

    The page's main table, with lines for their seeds; single seeds; points of sweeps; arms that
    some benchmarks alone saw. Benchmarks are apart from the means over them.
    """
    first = arms[members[0]]
    everywhere = all(members[0] in of_arm for of_arm in metrics.values())
    if name in arms and len(seeds_of(arms, name)) > 1:
        group = "single seeds"
    elif first["swept"]:
        group = "sweeps"
    elif first["kind"] in MADE and not everywhere and first["line"] != main_of(arms):
        group = "on some benchmarks"
    else:
        group = "main table"
    return f"{group}, {'means' if place == MEAN else 'benchmarks'}"


def ablations(manifest: Mapping[str, Any], metrics: Metrics) -> list[Row]:
    """Every other arm that is made here against the main one, on the benchmarks that both have.

    Points of sweeps are a family of their own in Holm's correction.
    """
    arms, main = manifest["arms"], main_of(manifest["arms"])
    if main is None:
        return []
    made = dict.fromkeys(arm["line"] for arm in arms.values() if arm["kind"] in MADE)
    pairs = [sides(arms, line, main) for line in made if line != main]
    common = [shared(metrics, [*ours, *theirs]) for ours, theirs in pairs]
    families = ["sweeps" if arms[ours[0]]["swept"] else "ablations" for ours, _ in pairs]
    found = []
    for (ours, theirs), benchmarks, family in zip(pairs, common, families, strict=True):
        if not benchmarks:
            continue
        name = ours[0] if len(ours) == 1 else seeds_name(ours[0])
        accuracy = dict.fromkeys(benchmarks, "accuracy")
        gap = difference(arms, metrics, (ours, theirs), accuracy, resamples(families.count(family)))
        place = {"arm": name, "base": main, "benchmark": MEAN, "metric": "accuracy"}
        found.append({**place, "family": family, **vars(gap), "benchmarks": benchmarks})
    for family in dict.fromkeys(families):
        corrected([row for row in found if row["family"] == family])
    return found


def resamples(comparisons: int) -> int:
    """So many that the smallest p there can be passes Holm's correction with room to spare."""
    return max(RESAMPLES, int(2 / ALPHA) * comparisons - 1)


def corrected(family: Sequence[Row]) -> None:
    """Give each row of a family its corrected p, their number and the difference in words."""
    for row, p in zip(family, holm([row["p"] for row in family]), strict=True):
        row["p_corrected"] = p
        row["comparisons"] = len(family)
        row["statement"] = statement(row)


def statement(row: Mapping[str, Any]) -> str:
    """A difference in words; "no difference shown" unless the corrected test finds one."""
    scale, unit = (1, "tokens") if row["metric"] in UNBOUNDED else (100, "points")
    value, low, high = (scale * row[key] for key in ("value", "low", "high"))
    interval = f"{value:+.1f} {unit}, 95% interval {low:+.1f} to {high:+.1f}"
    if row["p_corrected"] <= ALPHA:
        return f"{'higher' if value > 0 else 'lower'} ({interval})"
    lost = f" after correction for {row['comparisons']} comparisons" if row["p"] <= ALPHA else ""
    return f"no difference shown{lost} ({interval})"


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
