"""Parts of Vega-Lite specs that the page's charts share: plain dicts.

Colours are the variables of the page's styles, so that a chart is light or dark with its page.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name; nothing is fetched
PERCENT = {"format": ".0%"}
RULE = {"type": "rule", "strokeWidth": 2}
DOT = {"filled": True, "size": 60, "opacity": 1}
EMPHASIS = ["var(--muted)", "var(--accent)"]
INTERVAL = {"value": ".1%", "low": ".1%", "high": ".1%"}

_SMALL = {"labelFontSize": 11.5, "titleFontSize": 12, "titleFontWeight": "normal"}
THEME: Spec = {
    **{"background": "transparent", "view": {"stroke": None}},
    "axis": {
        **{"labelColor": "var(--soft)", "titleColor": "var(--soft)", **_SMALL},
        **dict.fromkeys(("gridColor", "domainColor", "tickColor"), "var(--line)"),
        **{"labelLimit": 190, "titlePadding": 8},
    },
    "header": {
        **{"labelColor": "var(--ink)", "labelFontSize": 12.5, "labelFontWeight": 600},
        **{"labelAnchor": "start", "labelPadding": 6},
    },
    "legend": {"labelColor": "var(--soft)", "labelFontSize": 12, "labelLimit": 260}
    | {"symbolStrokeWidth": 3},
    "range": {"category": [f"var(--arm-{number})" for number in range(1, 9)]},
    **{mark: {"color": "var(--accent)"} for mark in ("bar", "line", "point")},
    "rule": {"color": "var(--muted)"},
    "text": {"color": "var(--ink)", "fontSize": 12},
}


def with_interval(
    shared: Spec,
    channel: str,
    scale: Spec,
    mark: Spec,
    tooltip: list[Spec],
    interval: Spec | None = None,
) -> list[Spec]:
    """Two layers: the interval along `channel` (as a rule by default), the value upon it."""
    ends = {channel: {**scale, "field": "low"}, f"{channel}2": {"field": "high"}}
    value = {channel: {**scale, "field": "value"}}
    return [
        {"mark": interval or RULE, "encoding": {**shared, **ends}},
        {"mark": mark, "encoding": {**shared, **value, "tooltip": tooltip}},
    ]


def tips(**formats: str) -> list[Spec]:
    """A tooltip's fields, each with its number format ("" for as it is)."""
    return [
        {"field": field, "format": how} if how else {"field": field}
        for field, how in formats.items()
    ]


def arm_names(titles: Mapping[str, str], order: Sequence[str]) -> list[str]:
    return [titles[name] for name in order]


def by_arm(
    titles: Mapping[str, str], order: Sequence[str], data: Rows, symbol: str = "stroke"
) -> Spec:
    """One colour (or dash) an arm, the same in every chart; the legend has those drawn here."""
    drawn = {row["arm"] for row in data}
    names = [name for name in arm_names(titles, order) if name in drawn]
    legend = {
        **{"orient": "top", "title": None, "columns": 4, "values": names},
        **{"symbolType": symbol, "symbolOpacity": 1},
    }
    scale = {"domain": arm_names(titles, order)}
    shown = legend if len(names) > 1 else None
    return {"field": "arm", "type": "nominal", "scale": scale, "legend": shown}


def facets(
    data: list[dict[str, Any]],
    by: str,
    inner: Spec,
    sort: list[str] | None = None,
    free: str | None = None,
) -> Spec:
    """Small multiples; the page sets columns and widths to what fits.

    Panels share their scales, but for the axis that is `free`.
    """
    order = sort or list(dict.fromkeys(row[by] for row in data))
    facet = {"field": by, "type": "nominal", "sort": order, "title": None}
    scales = {"resolve": {"scale": {free: "independent"}}} if free else {}
    return {"$schema": SCHEMA, "data": {"values": data}, "facet": facet, "spec": inner, **scales}


def single(spec: Spec) -> Spec:
    """One chart as wide as its place."""
    fit = {"type": "fit-x", "contains": "padding"}
    return {"$schema": SCHEMA, "width": "container", "autosize": fit, **spec}


def histogram(y: Spec, colour: Spec, tooltip: list[Spec], **mark: Any) -> Spec:
    """Bars over bins of entropy, from `low` to `high` in nats."""
    x: Spec = {"field": "low", "type": "quantitative", "bin": {"binned": True}}
    x["axis"] = {"title": "entropy of the base's next token, nats", "tickCount": 10}
    encoding = {"x": x, "x2": {"field": "high"}, "y": y, "color": colour, "tooltip": tooltip}
    return {"mark": {"type": "bar", "binSpacing": 1, **mark}, "encoding": encoding}


def threshold_rule(tau: float) -> list[Spec]:
    """Layers with a dashed line at an entropy tau and its name."""
    data = {"values": [{"tau": tau, "label": f"tau = {tau:.3g}"}]}
    x = {"field": "tau", "type": "quantitative"}
    rule = {"type": "rule", "strokeWidth": 1.5, "strokeDash": [4, 3]}
    text = {"type": "text", "align": "left", "dx": 5, "y": 8, "fontWeight": 600}
    label = {"x": x, "text": {"field": "label"}}
    return [
        {"data": data, "mark": rule, "encoding": {"x": x}},
        {"data": data, "mark": text, "encoding": label},
    ]
