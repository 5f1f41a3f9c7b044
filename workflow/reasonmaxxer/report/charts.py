"""The page's charts as Vega-Lite specs: plain dicts, whose colours the page's styles hold.

Each builder returns None where its figures are missing, and the page says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..analysis.arms import Arms, sweeps
from .spec import (
    DOT,
    EMPHASIS,
    INTERVAL,
    PERCENT,
    Rows,
    Spec,
    arm_names,
    by_arm,
    facets,
    histogram,
    single,
    threshold_rule,
    tips,
    with_interval,
)


def gains(differences: Rows, titles: Mapping[str, str], order: Sequence[str]) -> Spec | None:
    """Differences in accuracy to the base in points, a panel a benchmark, their mean first."""
    data = [
        {
            **{key: 100 * row[key] for key in INTERVAL},
            **{"arm": titles[row["arm"]], "benchmark": titles[row["benchmark"]]},
        }
        for row in differences
        if row["metric"] == "accuracy" and row["arm"] in order
    ]
    if not data:
        return None
    y = {"field": "arm", "type": "nominal", "sort": arm_names(titles, order), "title": None}
    x = {"type": "quantitative", "axis": {"format": "+~f", "title": None, "labelOverlap": True}}
    colour = by_arm(titles, order, data) | {"legend": None}  # the names stand on the axis
    tooltip = tips(arm="", **dict.fromkeys(INTERVAL, "+.1f"))
    layers = with_interval({"y": y, "color": colour}, "x", x, {"type": "point", **DOT}, tooltip)
    zero = {"mark": {"type": "rule", "strokeWidth": 1}, "encoding": {"x": {"datum": 0}}}
    data.sort(key=lambda row: bool(row["benchmark"] != titles["mean"]))
    return facets(data, "benchmark", {"height": {"step": 22}, "layer": [zero, *layers]})


def pass_at_k(rows: Rows, titles: Mapping[str, str], order: Sequence[str]) -> Spec | None:
    """pass@k over k up to half the samples, a panel a benchmark; two points are no curve."""
    data = [
        {
            **{key: row[key] for key in INTERVAL},
            **{"arm": titles[row["arm"]], "benchmark": titles[row["benchmark"]]},
            "k": int(row["metric"].partition("@")[2] or 1),
        }
        for row in rows
        if row["arm"] in order
        and row["value"] is not None
        and row["benchmark"] != "mean"
        and (row["metric"] == "accuracy" or row["metric"].startswith("pass@"))
    ]
    curves = {row["benchmark"] for row in data if row["k"] > 2}
    data = [row for row in data if row["benchmark"] in curves]
    if not data:
        return None
    x = {
        **{"field": "k", "type": "quantitative", "title": "k"},
        "scale": {"type": "log", "base": 2, "nice": False},
        "axis": {"values": sorted({row["k"] for row in data}), "grid": False},
    }
    y = {"type": "quantitative", "axis": {**PERCENT, "title": "pass@k"}, "scale": {"zero": False}}
    shared = {"x": x, "color": by_arm(titles, order, data)}
    line = {"type": "line", "point": {"size": 30}}
    band = {"type": "area", "opacity": 0.13}
    layers = with_interval(shared, "y", y, line, tips(arm="", k="", **INTERVAL), band)
    layers[1]["encoding"]["strokeDash"] = shared["color"]  # not by colour alone
    # Each panel as far as its own k.
    return facets(data, "benchmark", {"height": 190, "layer": layers}, free="x")


def entropy(figure: Mapping[str, Any] | None) -> Spec | None:
    """Positions by entropy on a log scale, those above the threshold marked."""
    if not figure:
        return None
    threshold = figure["threshold"]
    edges, counts = figure["edges"], figure["counts"]
    data = [
        {
            **{"low": low, "high": high, "positions": count},
            "above": "decision" if threshold is not None and low >= threshold else "other",
        }
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        if count
    ]
    y: Spec = {"field": "positions", "type": "quantitative"}
    y["scale"] = {"type": "log", "domainMin": 0.8}
    powers = [10**n for n in range(len(str(max(counts))))]
    y["axis"] = {"title": "positions", "format": "~s", "values": powers}
    colour: Spec = {"field": "above", "type": "nominal", "legend": None}
    colour["scale"] = {"domain": ["other", "decision"], "range": EMPHASIS}
    bars = histogram(y, colour, tips(low=".3f", high=".3f", positions=","))
    bars["encoding"]["y2"] = {"datum": 0.8}
    layers = [bars, *threshold_rule(threshold)] if threshold is not None else [bars]
    return single({"data": {"values": data}, "height": 220, "layer": layers})


def pass_rates(pool: Mapping[str, Any] | None) -> Spec | None:
    """Problems of the pool by share of correct rollouts; only those in between can train."""
    if not pool:
        return None
    samples = pool["samples"]
    data = [
        {
            **{"correct": correct, "problems": count},
            "use": "mixed" if 0 < correct < samples else "all alike",
        }
        for correct, count in enumerate(pool["counts"])
    ]
    x: Spec = {"field": "correct", "type": "ordinal"}
    title = f"correct of {samples} rollouts"
    x["axis"] = {"title": title, "labelAngle": 0, "labelOverlap": True}
    y = {"field": "problems", "type": "quantitative"}
    colour: Spec = {"field": "use", "type": "nominal", "legend": None}
    colour["scale"] = {"domain": ["all alike", "mixed"], "range": EMPHASIS}
    encoding = {"x": x, "y": y, "color": colour, "tooltip": tips(correct="", problems="")}
    bars = {"height": 220, "mark": {"type": "bar"}, "encoding": encoding}
    return single({"data": {"values": data}, **bars})


CURVES = {
    "decision_loss": "decision loss",
    "anchor_loss": "anchor loss, nats",
    "positive_change": "log-prob change, positive decisions",
    "negative_change": "log-prob change, negative decisions",
}


def training(curves: Rows, titles: Mapping[str, str], order: Sequence[str]) -> Spec | None:
    """Training logs, a panel a quantity."""
    data = [
        {"arm": titles[curve["arm"]], "panel": name, "step": round(step), "value": value}
        for curve in curves
        if curve["arm"] in order
        for key, name in CURVES.items()
        for step, value in zip(curve["points"]["step"], curve["points"][key], strict=True)
        if value is not None
    ]
    if not data:
        return None
    x: Spec = {"field": "step", "type": "quantitative"}
    x["axis"] = {"grid": False, "tickMinStep": 1, "format": "d"}
    y: Spec = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
    tooltip = tips(arm="", step="", value=".4g")
    encoding = {"x": x, "y": y, "color": by_arm(titles, order, data), "tooltip": tooltip}
    line = {"height": 130, "mark": {"type": "line", "strokeWidth": 1.5}, "encoding": encoding}
    return facets(data, "panel", line, sort=list(CURVES.values()), free="y")


def validation(
    curves: Rows, titles: Mapping[str, str], order: Sequence[str], costs: Rows, unit: str
) -> Spec | None:
    """Validation pass rate by what each checkpoint had cost; a ring is round the chosen one.

    By the checkpoint's number where jobs were not timed.
    """
    reached = {row["arm"]: row["reached"] for row in costs}
    shown = [row for row in curves if row["arm"] in order]
    timed = all(reached.get(row["arm"]) for row in shown)
    data = [
        {
            **{**row, "arm": titles[row["arm"]], "value": row["pass_rate"]},
            "spent": reached[row["arm"]][row["checkpoint"]] if timed else None,
        }
        for row in shown
    ]
    if not data:
        return None
    y: Spec = {"type": "quantitative", "axis": {**PERCENT, "title": "validation pass rate"}}
    y["scale"] = {"zero": False}
    shared = {"color": by_arm(titles, order, data, "circle")}
    mark: Spec = {"type": "point", **DOT}
    if timed:
        axis = {"title": f"{unit} time until then, seconds", "grid": False}
        shared["x"] = {"field": "spent", "type": "quantitative", "axis": axis}
        mark = {"type": "line", "strokeWidth": 1.5, "point": DOT}
    else:
        shared |= _beside_each_other("checkpoint", arm_names(titles, order))
        shared["x"]["axis"] = {"labelAngle": 0, "title": "checkpoint (0 is the base)"}
    tooltip = tips(arm="", checkpoint="", **({"spent": ".0f"} if timed else {}), **INTERVAL)
    ring = {
        "transform": [{"filter": "datum.chosen"}],
        "mark": {"type": "point", "size": 190, "strokeWidth": 2},
        "encoding": {**shared, "y": {**y, "field": "value"}},
    }
    layers = with_interval(shared, "y", y, mark, tooltip)
    return single({"data": {"values": data}, "height": 220, "layer": [*layers, ring]})


def _beside_each_other(field: str, arms: list[str]) -> Spec:
    """A place on x for every value of the field, in which each arm has its own."""
    x: Spec = {"field": field, "type": "ordinal", "scale": {"type": "point", "padding": 0.5}}
    offset = {"field": "arm", "type": "nominal", "sort": arms, "scale": {"range": [-14, 14]}}
    return {"x": x, "xOffset": offset} if len(arms) > 1 else {"x": x}


def sweep(rows: Rows, arms: Arms) -> list[tuple[str, Spec]]:
    """(key, chart) for every setting arms were swept over, with the value that they start from.

    By the mean over benchmarks, or by the first one that the swept arms have where they lack some.
    """
    found = []
    known: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["metric"] == "accuracy" and row["value"] is not None:
            known.setdefault(row["benchmark"], {})[row["arm"]] = row
    for (start, place), points in sweeps(arms).items():
        key = place.split(".")[1]
        benchmarks = [name for name in ("mean", *known) if {*points} <= {*known.get(name, ())}]
        benchmark = next(iter(benchmarks), "mean")
        values = known.get(benchmark, {})
        own = next(iter(points.values()))["own"]
        settings = {name: point["value"] for name, point in points.items()}
        settings |= {start: own} if own is not None else {}
        data = [
            {
                **{k: values[arm][k] for k in INTERVAL},
                **{"setting": _as_setting(setting), "arm": arm},
            }
            for arm, setting in settings.items()
            if arm in values
        ]
        if len(data) > 1:
            found.append((key, _sweep_chart(key, data, benchmark)))
    return found


def _sweep_chart(key: str, data: list[dict[str, Any]], place: str) -> Spec:
    numeric = all(isinstance(row["setting"], float) for row in data)
    x: Spec = {"field": "setting", "title": key, "type": "quantitative" if numeric else "nominal"}
    settings = sorted({row["setting"] for row in data}, key=str)
    x["axis"] = {"labelAngle": 0, "values": settings, "grid": False}
    x["axis"] |= {"format": "~g"} if numeric else {}
    x |= {"scale": {"zero": False, "padding": 16}} if numeric else {}
    y = {"type": "quantitative", "axis": {**PERCENT, "title": f"{place} accuracy"}}
    y["scale"] = {"zero": False}
    mark = {"type": "line" if numeric else "point", "point": True}
    layers = with_interval({"x": x}, "y", y, mark, tips(arm="", **INTERVAL))
    return single({"data": {"values": data}, "height": 200, "layer": layers})


# --- parts ------------------------------------------------------------------------------------


def _as_setting(value: Any) -> float | str:
    """A number, or a word: a window of pass rates is 0.2–0.8."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return "–".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
