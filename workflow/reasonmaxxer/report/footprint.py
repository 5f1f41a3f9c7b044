"""The page's section on the footprint analysis: its charts, and its figures as texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import charts
from .spec import (
    DOT,
    EMPHASIS,
    INTERVAL,
    PERCENT,
    Spec,
    facets,
    histogram,
    single,
    threshold_rule,
    tips,
    with_interval,
)
from .view import signed

Figures = Mapping[str, Any]

TEXTS = {"greedy": "Greedy text", "sampled": "Sampled text"}
SHARES = {
    "unshifted_share": "unshifted",
    "reranked_share": "reranked",
    "shifted_share": "shifted",
    "top5_share": "promoted tokens in the base top 5",
}
NUMBERS = {
    "mean_rank": "mean rank of the promoted token",
    "entropy_reranked": "entropy where reranked, nats",
    "entropy_unshifted": "entropy where unchanged, nats",
    "entropy_ratio": "their ratio",
}
INTERVENTIONS = {
    "base": "Base, untouched",
    "oracle": "Teacher's token where the two disagree (oracle)",
    "gate": "Teacher's token above the entropy threshold",
    "random-positions": "Teacher's token at as many random positions",
    "gate-random-token": "Random top token above the threshold",
    "oracle-random-token": "Random top token where the two disagree",
}
WRITERS = {
    "base": "the base's text, tokens of the teacher put in",
    "teacher": "the teacher's text, tokens of the base put in",
}
PIVOTALITY = {
    "auc": "AUC of entropy for pivotal positions",
    "precision": "pivotal among positions above the threshold",
    "base_rate": "pivotal among all positions",
    "recall": "share of pivotal positions above the threshold",
    "stake": "share of what is at stake above the threshold",
    "budget": "share of positions above the threshold",
}


def section(found: Figures | None, titles: Mapping[str, str]) -> dict[str, Any] | None:
    """What the template says of the analysis; None where the run has none."""
    if found is None:
        return None
    teacher = titles[found["teacher"]]
    named = {**SHARES, **NUMBERS}
    return {
        **{"teacher": teacher, "benchmark": titles[found["benchmark"]], "tau": found["tau"]},
        "is_rl": found["is_rl"],
        "texts": [TEXTS[text] for text in found["texts"]],
        "positions": [of_text["positions"] for of_text in found["texts"].values()],
        "rows": [
            {
                "name": name,
                "cells": [
                    with_bounds(of_text[key], percent=key in SHARES)
                    for of_text in found["texts"].values()
                ],
            }
            for key, name in named.items()
        ],
        "interventions": _interventions(found["interventions"]),
        "gain": signed_points(found["interventions"]["gain"]),
        "problems": found["interventions"]["problems"],
        "pivotality": _pivotality(found["pivotality"]),
        "capability": _capability(found["capability"], titles),
    }


def _interventions(found: Figures) -> list[dict[str, Any]]:
    rows = {row["name"]: row for row in found["rows"]}
    keys = ("accuracy", "touched", "changed", "recovery")
    return [
        {"name": name, **{key: with_bounds(rows[place][key], percent=True) for key in keys}}
        for place, name in INTERVENTIONS.items()
    ]


def _pivotality(found: Figures | None) -> dict[str, Any] | None:
    if found is None:
        return None
    rows = [
        {"name": name, "value": with_bounds(found["summary"][key], percent=key != "auc")}
        for key, name in PIVOTALITY.items()
    ]
    keys = ("positions", "problems", "alternatives", "continuations", "margin")
    return {**{key: found[key] for key in keys}, "rows": rows}


def _capability(found: Figures | None, titles: Mapping[str, str]) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        **{key: found[key] for key in ("samples", "k", "problems")},
        "gap": signed_points(found["base_over_teacher"]),
        "solved": [{**row, "arm": titles[row["arm"]]} for row in found["solved"]],
    }


def with_bounds(estimate: Figures | None, percent: bool) -> str | None:
    """A value with its interval."""
    if estimate is None:
        return None
    numbers = (estimate[key] for key in ("value", "low", "high"))
    value, low, high = (f"{100 * x:.2f}" if percent else f"{x:.3g}" for x in numbers)
    return f"{value}{'%' if percent else ''} ({low} to {high})".replace("-", "−")


def signed_points(estimate: Figures) -> str:
    """A difference of shares in points, with its interval."""
    value, low, high = (signed(100 * estimate[key]) for key in ("value", "low", "high"))
    return f"{value} points ({low} to {high})"


# --- charts -------------------------------------------------------------------------------------


def all_charts(found: Figures | None, titles: Mapping[str, str]) -> dict[str, Spec | None]:
    """Charts by the id of their place."""
    if found is None:
        return {}
    drawn: dict[str, Spec | None] = {
        "footprint": entropy(found["texts"], found["tau"]),
        "interventions": interventions(found["interventions"]),
    }
    if len(found["interventions"]["curve"]) > len(WRITERS):
        drawn["exchanged"] = exchanged(found["interventions"]["curve"])
    if found["pivotality"]:
        drawn["pivotality"] = pivotality(found["pivotality"], found["tau"])
    if found["capability"]:
        rows = [{**row, "benchmark": found["benchmark"]} for row in found["capability"]["rows"]]
        order = list(dict.fromkeys(row["arm"] for row in rows))
        drawn["capability"] = charts.pass_at_k(rows, titles, order)
    return drawn


def entropy(texts: Figures, tau: float) -> Spec | None:
    """Fig. 1: the base's entropy where the teacher agrees and where it promotes another token."""
    data = [
        {
            **{"text": TEXTS[text], "positions": name, "low": low, "high": high},
            "share": count / total,
        }
        for text, found in texts.items()
        for name, counts in found["histograms"].items()
        if (total := sum(counts))
        for low, high, count in zip(found["edges"][:-1], found["edges"][1:], counts, strict=True)
    ]
    if not data:
        return None
    kinds = {"field": "positions", "type": "nominal", "legend": {"orient": "top", "title": None}}
    kinds["scale"] = {"domain": ["unchanged", "promoted"], "range": EMPHASIS}
    y: Spec = {"field": "share", "type": "quantitative", "stack": None}
    y["axis"] = {**PERCENT, "title": "share of such positions"}
    tooltip = tips(positions="", low=".2f", high=".2f", share=".1%")
    bars = histogram(y, kinds, tooltip, opacity=0.65)
    bars["encoding"]["x"]["axis"]["tickCount"] = 8
    return facets(data, "text", {"height": 190, "layer": [bars, *threshold_rule(tau)]})


def interventions(found: Figures) -> Spec:
    """Fig. 2: share of right answers under each intervention."""
    rows = {row["name"]: row for row in found["rows"]}
    data = [
        {
            "intervention": name,
            **rows[place]["accuracy"],
            "touched": rows[place]["touched"]["value"],
        }
        for place, name in INTERVENTIONS.items()
    ]
    y: Spec = {"field": "intervention", "type": "nominal", "sort": None, "title": None}
    y |= {"axis": {"labelLimit": 330}}
    x = {"type": "quantitative", "axis": {**PERCENT, "title": "right answers"}}
    x["scale"] = {"zero": False}
    tooltip = tips(intervention="", **INTERVAL, touched=".2%")
    layers = with_interval({"y": y}, "x", x, {"type": "point", **DOT}, tooltip)
    return single({"data": {"values": data}, "height": 26 * len(data), "layer": layers})


def exchanged(curve: Sequence[Figures]) -> Spec:
    """Right answers by the most tokens exchanged in a text, in both directions."""
    data = [{**point, "text": WRITERS[point["writer"]]} for point in curve]
    x: Spec = {"field": "edits", "type": "ordinal"}
    x["axis"] = {"title": "most tokens exchanged in a text", "labelAngle": 0}
    y = {"type": "quantitative", "axis": {**PERCENT, "title": "right answers"}}
    y["scale"] = {"zero": False}
    color = {"field": "text", "type": "nominal", "legend": {"orient": "top", "title": None}}
    color["scale"] = {"domain": list(WRITERS.values()), "range": EMPHASIS}
    tooltip = tips(text="", edits="", **INTERVAL)
    mark = {"type": "line", "point": {**DOT}}
    layers = with_interval({"x": x, "color": color}, "y", y, mark, tooltip)
    return single({"data": {"values": data}, "height": 240, "layer": layers})


def pivotality(found: Figures, tau: float) -> Spec:
    """Positions by entropy and by how much the choice there changes the chance of success."""
    x: Spec = {"field": "entropy", "type": "quantitative"}
    x["axis"] = {"title": "entropy of the base's next token, nats", "tickCount": 8}
    y: Spec = {"field": "effect", "type": "quantitative"}
    y["axis"] = {**PERCENT, "title": "best minus worst alternative, right answers"}
    dots = {
        "mark": {"type": "point", "filled": True, "size": 28, "opacity": 0.45},
        "encoding": {"x": x, "y": y, "tooltip": tips(entropy=".3f", effect=".0%")},
    }
    margin = {
        "data": {"values": [{"margin": found["margin"]}]},
        "mark": {"type": "rule", "strokeDash": [4, 3]},
        "encoding": {"y": {"field": "margin", "type": "quantitative"}},
    }
    layers = [dots, margin, *threshold_rule(tau)]
    return single({"data": {"values": found["points"]}, "height": 260, "layer": layers})
