"""The analysis in figures: shares, ratios and recoveries with intervals over problems."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import tables
from . import effects
from .arms import base_of, is_rl
from .claims import LEAST_K
from .results import Scores, check_protocol, load_scores, metric_values
from .statistics import (
    Estimate,
    Values,
    mean_interval,
    paired_difference,
    ratio_values,
    share_interval,
)

TOP = 5  # a promoted token among the base's so many likeliest is reranked, else shifted (Eq. 3)
POSITIONS = ("touched", "changed")
NONE = {"value": 0.0, "low": 0.0, "high": 0.0}
OWN_TEXTS = {"base": "base+0", "oracle": "teacher+0"}  # where the curve starts
BINS = 30
POINTS = 600  # positions drawn in the page's scatter plot

Figures = dict[str, Any]


def analysis(manifest: Mapping[str, Any]) -> Figures | None:
    """All figures of the analysis with `evidence` for the claims; None where the run has none."""
    own = manifest.get("footprint")
    if not own:
        return None
    base, teacher = base_of(manifest["arms"]), own["teacher"]
    texts = {text: text_figures(own[text]) for text in ("greedy", "sampled")}
    found: Figures = {
        **{key: own[key] for key in ("teacher", "benchmark", "tau")},
        "texts": texts,
        "interventions": intervention_figures(own["interventions"]),
        "pivotality": pivotality_figures(own),
        "capability": capability_figures(own, base, teacher),
    }
    rl = is_rl(manifest["arms"][teacher])
    return {**found, "is_rl": rl, "evidence": evidence(found) if rl else {}}


def files(own: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """(path, table) of every file behind the analysis."""
    if not own:
        return []
    names = {"greedy": "footprint", "sampled": "footprint"}
    names |= {name: name for name in ("interventions", "pivotality")}
    found = [(own[key], name) for key, name in names.items() if own[key]]
    return found + [(path, "evaluation") for path in own["capability"].values()]


def evidence(found: Figures) -> dict[str, dict[str, float]]:
    """The figures that decide claims C1 to C4 and C11."""
    greedy = found["texts"]["greedy"]
    recovery = {row["name"]: row["recovery"] for row in found["interventions"]["rows"]}
    capability = found["capability"] or {}
    known = {
        **{key: greedy[key] for key in ("reranked_share", "top5_share", "mean_rank")},
        "entropy_ratio": greedy["entropy_ratio"],
        "gated_recovery": recovery["gate"],
        "random_recovery": recovery["random-positions"],
        "base_over_rl_pass_at_k": capability.get("base_over_teacher")
        if capability.get("k", 0) >= LEAST_K
        else None,
    }
    return {key: value for key, value in known.items() if value is not None}


def metric_rows(found: Figures | None) -> list[dict[str, Any]]:
    """The same figures as rows of the table `metrics`, the part's name for a benchmark."""
    if found is None:
        return []
    parts = [(text, of_text["problems"], of_text) for text, of_text in found["texts"].items()]
    own = found["interventions"]
    named = {f"{r['name']}:{key}": estimate for r in own["rows"] for key, estimate in r.items()}
    parts.append(("interventions", own["problems"], named))
    if of := found["pivotality"]:
        parts.append(("pivotality", of["problems"], of["summary"]))
    made = [
        {
            **{"arm": found["teacher"], "benchmark": f"footprint:{part}", "metric": metric},
            **{**value, "problems": problems, "samples": None, "seed": None},
        }
        for part, problems, values in parts
        for metric, value in values.items()
        if isinstance(value, dict) and "low" in value
    ]
    capability = found["capability"] or {"rows": []}
    return made + [
        {**row, "benchmark": "footprint:capability", "seed": None} for row in capability["rows"]
    ]


# --- the footprint ------------------------------------------------------------------------------


def text_figures(path: str) -> Figures:
    """Eq. 3, Table 2 and Fig. 1 for one kind of text."""
    table = tables.read(path, "footprint", ["problem_id", "entropy", "rank"])
    rank, entropy = table["rank"].to_numpy(), table["entropy"].to_numpy().astype(np.float64)
    names, problem = np.unique(table["problem_id"].to_numpy(), return_inverse=True)

    def sums(mask: NDArray[np.bool_], values: Values | None = None) -> Values:
        weights = mask.astype(np.float64) if values is None else mask * values
        return np.bincount(problem, weights, minlength=len(names)).astype(np.float64)

    every = np.ones(len(rank), dtype=bool)
    promoted, unshifted = rank > 1, rank == 1
    reranked, shifted = promoted & (rank <= TOP), rank > TOP
    of_reranked = ratio_values(sums(reranked, entropy), sums(reranked))
    of_unshifted = ratio_values(sums(unshifted, entropy), sums(unshifted))
    edges = np.linspace(0.0, max(float(entropy.max(initial=0.0)), 1e-6) * 1.0001, BINS + 1)
    return {
        "positions": len(rank),
        "problems": len(names),
        "unshifted_share": share(sums(unshifted), sums(every)),
        "reranked_share": share(sums(reranked), sums(every)),
        "shifted_share": share(sums(shifted), sums(every)),
        "top5_share": share(sums(reranked), sums(promoted)),
        "mean_rank": ratio(sums(promoted, rank.astype(np.float64)), sums(promoted)),
        "entropy_reranked": _mean(of_reranked),
        "entropy_unshifted": _mean(of_unshifted),
        "entropy_ratio": ratio(of_reranked, of_unshifted),
        "ranks": [int(np.count_nonzero(rank == place)) for place in range(2, TOP + 1)]
        + [int(np.count_nonzero(shifted))],
        "edges": [round(float(edge), 5) for edge in edges],
        "histograms": {
            name: np.histogram(entropy[mask], edges)[0].tolist()
            for name, mask in (("unchanged", unshifted), ("promoted", promoted))
        },
    }


def share(part: Values, whole: Values) -> dict[str, float] | None:
    """A pooled share of positions with its interval over problems."""
    if whole.sum() == 0:
        return None
    if part.sum() in (0.0, whole.sum()):
        # All problems agree, so that there is no spread to estimate from.
        counted = whole > 0
        return vars(share_interval((part / np.maximum(whole, 1))[counted], 2))
    found = mean_interval(ratio_values(part, whole))
    return vars(Estimate(found.value, max(0.0, found.low), min(1.0, found.high)))


def ratio(numerators: Values, denominators: Values) -> dict[str, float] | None:
    """A ratio of sums over problems, of which either may be a ratio's own values."""
    return _mean(ratio_values(numerators, denominators))


def _mean(values: Values) -> dict[str, float] | None:
    return None if np.isnan(values).any() else vars(mean_interval(values))


# --- interventions ------------------------------------------------------------------------------


def intervention_figures(path: str) -> Figures:
    """Fig. 2: right answers and touched tokens of each intervention.

    Recovery is the share of the oracle's gain over the base; without a gain whose interval is
    above zero there is nothing to recover. The curve has right answers by the most tokens exchanged
    in a text: it starts at each model's own text, the teacher's being the oracle's.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    columns = ["intervention", "problem_id", "token_ids", "touched", "changed", "verdict"]
    for row in tables.rows(path, "interventions", columns):
        groups.setdefault(row["intervention"], []).append(row)
    for rows in groups.values():
        rows.sort(key=lambda row: row["problem_id"])
    right = {
        name: np.array([float(row["verdict"] == "correct") for row in rows])
        for name, rows in groups.items()
    }
    gain = paired_difference(right["oracle"], right["base"])
    shown = gain.low > 0
    return {
        "problems": len(right["base"]),
        "gain": vars(gain),
        "rows": [
            {
                **{"name": name, "accuracy": vars(share_interval(right[name], 1))},
                # The base is left alone by construction: nothing to estimate.
                **{key: _touched(rows, key) if name != "base" else NONE for key in POSITIONS},
                "recovery": recovery(right[name], right["base"], right["oracle"])
                if shown and name != "base"
                else None,
            }
            for name, rows in groups.items()
            if "+" not in name
        ],
        "curve": [
            {**point, **vars(share_interval(right[name], 1))}
            for name in groups
            if (point := _exchanged(name))
        ],
    }


def _exchanged(name: str) -> dict[str, Any] | None:
    """Whose text it is and how many tokens are exchanged at most; None where all may be."""
    writer, plus, edits = OWN_TEXTS.get(name, name).partition("+")
    return {"writer": writer, "edits": int(edits)} if plus else None


def recovery(ours: Values, base: Values, oracle: Values) -> dict[str, float] | None:
    """(ours - base) / (oracle - base) with its interval over problems, each one value a problem."""
    gained = ours - base
    if np.ptp(gained) > 0:
        return ratio(gained, oracle - base)
    # No problem differs: how many might, in units of the gain.
    found, whole = paired_difference(ours, base), float((oracle - base).mean())
    return {key: getattr(found, key) / whole for key in ("value", "low", "high")}


def _touched(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, float] | None:
    counts = [np.array([float(len(row[name])) for row in rows]) for name in (key, "token_ids")]
    return share(*counts)


# --- pivotality ---------------------------------------------------------------------------------


def pivotality_figures(own: Mapping[str, Any]) -> Figures | None:
    """How well entropy finds the positions that matter, and the positions themselves."""
    if not own["pivotality"]:
        return None
    rows = list(tables.rows(own["pivotality"], "pivotality"))
    found = effects.positions(rows)
    summary = effects.summary(found, own["margin"])
    kept = np.random.default_rng(0).permutation(len(found.entropy))[:POINTS]
    return {
        **{"margin": own["margin"], "positions": len(found.entropy)},
        "problems": len(np.unique(found.problem)),
        "alternatives": max(row["rank"] for row in rows),
        "continuations": max(row["continuations"] for row in rows),
        "summary": {key: vars(value) if value else None for key, value in summary.items()},
        "points": [
            {key: round(float(getattr(found, key)[i]), 4) for key in ("entropy", "effect")}
            for i in kept
        ],
    }


# --- capability ---------------------------------------------------------------------------------


def capability_figures(own: Mapping[str, Any], base: str, teacher: str) -> Figures | None:
    """pass@k of some arms up to half of many samples, and who alone solves what (C11)."""
    if not own["capability"]:
        return None
    benchmark, samples = own["benchmark"], own["samples"]
    files = own["capability"].items()
    scores = {arm: load_scores([path], arm, benchmark, samples) for arm, path in files}
    check_protocol(benchmark, scores)
    values = {arm: _curve(found) for arm, found in scores.items()}
    last = list(values[base])[-1]
    gap = paired_difference(values[base][last], values[teacher][last])
    return {
        **{"samples": samples, "k": scores[base].largest_k, "problems": scores[base].problems},
        "base_over_teacher": {key: getattr(gap, key) for key in ("value", "low", "high")},
        "rows": [
            {
                **{"arm": arm, "metric": metric},
                **vars(share_interval(of_metric, samples)),
                **{"problems": scores[arm].problems, "samples": samples},
            }
            for arm, of_arm in values.items()
            for metric, of_metric in of_arm.items()
        ],
        "solved": [_solved(arm, scores[arm], scores[base]) for arm in scores if arm != base],
    }


def _curve(scores: Scores) -> dict[str, Values]:
    found = metric_values(scores)
    return {key: found[key] for key in found if key == "accuracy" or key.startswith("pass@")}


def _solved(arm: str, ours: Scores, base: Scores) -> dict[str, Any]:
    """Problems by who finds a right answer in all samples at least once."""
    found, known = ours.correct.any(axis=1), base.correct.any(axis=1)
    sets = {"only_arm": found & ~known, "only_base": known & ~found}
    sets |= {"both": found & known, "neither": ~found & ~known}
    return {"arm": arm, **{name: int(problems.sum()) for name, problems in sets.items()}}
