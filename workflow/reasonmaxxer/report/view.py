"""What the page says in numbers and words: table cells, the verdict, what a gain is made of."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..analysis import timings
from ..analysis.arms import controls, is_rl, lines, seeds_name
from ..method.kinds import MADE
from ..tables.artefacts import read_json

MEAN = "mean"
ALPHA = 0.05
GATE, POSITIVE = {"selection.gate"}, {"selection.advantages"}
Row = Mapping[str, Any]


def read_run(metrics: Path, figures: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics.json and figures.json of a run."""
    return read_json(metrics, "rows", "differences"), read_json(figures, "arms", "benchmarks")


def _by_place(rows: Iterable[Row]) -> dict[tuple[str, str, str], Row]:
    return {(row["arm"], row["benchmark"], row["metric"]): row for row in rows}


class Run:
    """A run's metrics and figures, looked up by arm, benchmark and metric."""

    def __init__(self, metrics: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
        self.metrics, self.figures = metrics, figures
        self._rows = _by_place(metrics["rows"])
        self._differences = _by_place(metrics["differences"])
        self.arms = {arm["name"]: arm for arm in figures["arms"]}
        self.benchmarks = {b["name"]: b for b in figures["benchmarks"]}
        self.base = next(name for name, arm in self.arms.items() if arm["kind"] == "base")
        self.seeds = lines(self.arms)
        self.titles = self._titles()

    def row(self, arm: str, benchmark: str, metric: str = "accuracy") -> Row | None:
        return self._rows.get((arm, benchmark, metric))

    def difference(self, arm: str, benchmark: str, metric: str = "accuracy") -> Row | None:
        return self._differences.get((arm, benchmark, metric))

    def _titles(self) -> dict[str, str]:
        titles = {MEAN: "Mean"}
        titles |= {name: b.get("title") or name for name, b in self.benchmarks.items()}
        for name, arm in self.arms.items():
            mark = ", own prompt" if arm.get("own_prompt") else ""
            titles[name] = (arm.get("title") or name) + mark
        for line, members in self.seeds.items():
            titles[seeds_name(line)] = f"{titles[line]} ({len(members)} seeds)"
        return titles

    @property
    def shown(self) -> list[str]:
        """Arms of the main table: lines over seeds for their members, no sweeps, no ablations.

        Those outside the comparison come last.
        """
        found = []
        for name in sorted(self.arms, key=lambda name: bool(self.arms[name].get("own_prompt"))):
            if not self.arms[name]["swept"] and not self.is_ablation(name):
                found.append(self.as_line(name))
        return list(dict.fromkeys(found))

    def as_line(self, arm: str) -> str:
        """What stands for an arm in the tables: the line of its seeds, where it has several."""
        line = self.arms[arm]["line"]
        return seeds_name(line) if line in self.seeds else arm

    def is_ablation(self, arm: str) -> bool:
        """Whether an arm stands among the ablations alone: made here, for some benchmarks only."""
        everywhere = all(self.row(arm, benchmark) for benchmark in self.benchmarks)
        of_main = self.arms[arm]["line"] == self.figures["main"]
        return self.arms[arm]["kind"] in MADE and not everywhere and not of_main

    @property
    def main(self) -> str | None:
        """The arm the run is about, as a line over seeds where there is one."""
        main = self.figures["main"]
        return None if main is None else self.as_line(main)

    @property
    def place(self) -> str:
        """Where its outcome is read: the mean over benchmarks, or the only one."""
        return MEAN if len(self.benchmarks) > 1 else next(iter(self.benchmarks))

    @property
    def single(self) -> list[str]:
        """Arms of the main table under the name of one member each: for curves."""
        members = {seeds_name(line): line for line in self.seeds}
        return [members.get(name, name) for name in self.shown]


# --- the main table ---------------------------------------------------------------------------


def main_table(run: Run) -> dict[str, Any]:
    """Arms x (mean, benchmarks): cells with value, interval, and difference to the base."""
    columns = [MEAN, *run.benchmarks] if len(run.benchmarks) > 1 else list(run.benchmarks)
    scales = {column: _scale(run, column) for column in columns}
    return {
        "columns": [{"name": column, **_heading(run, column)} for column in columns],
        "rows": [
            {
                **{"name": arm, "title": run.titles[arm]},
                **_standing(run, arm),
                "cells": [cell(run, arm, column, scales[column]) for column in columns],
            }
            for arm in run.shown
        ],
    }


def _heading(run: Run, column: str) -> dict[str, str]:
    if column == MEAN:
        return {"title": "Mean", "about": f"of {len(run.benchmarks)} benchmarks"}
    entry = run.benchmarks[column]
    average = f" ×\u00a0{entry['samples']}\u00a0samples" if entry["samples"] > 1 else ""
    problems = f"{entry['problems']}\u00a0problem{'s' if entry['problems'] != 1 else ''}"
    return {"title": run.titles[column], "about": problems + average}


def _standing(run: Run, arm: str) -> dict[str, str]:
    """What an arm is to the table, and what is noted of that."""
    if run.arms.get(arm, {}).get("own_prompt"):
        return {"kind": "apart", "note": "outside the comparison"}
    kind = {run.base: "base", run.main: "main"}.get(arm, "other")
    return {"kind": kind, "note": "" if arm in run.arms else "over problems and seeds"}


def _scale(run: Run, column: str) -> tuple[float, float]:
    rows = [row for arm in run.shown if (row := run.row(arm, column)) and row["value"] is not None]
    low = min((row["low"] for row in rows), default=0.0)
    high = max((row["high"] for row in rows), default=1.0)
    return low, max(high - low, 1e-9)


def cell(run: Run, arm: str, column: str, scale: tuple[float, float]) -> dict[str, Any] | None:
    """One (arm, benchmark): texts in percent, positions of the interval's bar in percent."""
    row = run.row(arm, column)
    if row is None or row["value"] is None:
        return None
    start, width = scale
    at = {key: round(100 * (row[key] - start) / width, 1) for key in ("low", "value", "high")}
    return {
        "value": percent(row["value"]),
        "interval": f"{percent(row['low'])}–{percent(row['high'])}",
        "at": {key: min(100.0, max(0.0, place)) for key, place in at.items()},
        "change": change(run.difference(arm, column)),
    }


def change(difference: Row | None) -> dict[str, str] | None:
    """A difference in a few characters, and in words."""
    if difference is None:
        return None
    up = difference["value"] > 0
    if difference["p_corrected"] <= ALPHA:
        kind, mark = ("up", "▲") if up else ("down", "▼")
    elif difference["p"] <= ALPHA:
        kind, mark = "none", "△" if up else "▽"
    else:
        kind, mark = "none", "○"
    value = signed(100 * difference["value"])
    return {"kind": kind, "mark": mark, "value": value, "words": difference["statement"]}


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def signed(change: float) -> str:
    """A difference with its sign, to one decimal."""
    return f"{change:+.1f}".replace("-", "−")


def ablations(run: Run) -> list[dict[str, Any]]:
    """Every other arm made here against the main one, as texts."""
    return [
        {
            "title": run.titles[row["arm"]],
            "benchmarks": ", ".join(run.titles[name] for name in row["benchmarks"]),
            "change": change(row),
            "interval": f"{signed(100 * row['low'])} to {signed(100 * row['high'])}",
        }
        for row in run.metrics.get("ablations", [])
    ]


def costs(run: Run, price_per_hour: float | None) -> list[dict[str, Any]]:
    """What each arm of the main table cost, and whether it came near the RL arm's accuracy."""
    rows = {row["arm"]: row for row in run.metrics.get("costs", [])}
    rl = next((a for a in run.single if a in rows and run.arms[a]["kind"] == "grpo"), None)
    yardstick = run.row(run.as_line(rl), run.place) if rl else None
    found = []
    for arm in (name for name in run.single if name in rows):
        row, own = rows[arm], run.row(run.as_line(arm), run.place)
        spent = (row["seconds"], row["sweep_seconds"])
        seconds = None if None in spent else sum(spent)
        gap = None
        if yardstick and own and arm != rl and None not in (own["value"], yardstick["value"]):
            gap = 100 * (own["value"] - yardstick["value"])
        found.append(
            {
                **row,
                "title": run.titles[arm],
                "seconds": seconds,
                "dollars": timings.dollars(seconds, price_per_hour),
                "gap": None if gap is None else signed(gap),
            }
        )
    return found


# --- words ------------------------------------------------------------------------------------


def headline(run: Run) -> str:
    """One sentence on the outcome, from the figures alone."""
    base, main, place = run.base, run.main, run.place
    average = f"average over {len(run.benchmarks)} benchmarks"
    where = f"on {average if place == MEAN else run.titles[place]}"
    before = run.row(base, place)
    if before is None or before["value"] is None:
        return "The base has no figure that all benchmarks share, so nothing can be compared."
    if main is None:
        return f"The base solves {percent(before['value'])}% {where}; this run trained nothing."
    after, gap = run.row(main, place), run.difference(main, place)
    if after is None or gap is None:
        return f"{run.titles[main]} was not evaluated on all benchmarks, so no mean is shown."
    seeds = len(run.seeds.get(run.figures["main"], ["one"]))
    return (
        f"{run.titles[main]} solves {percent(after['value'])}% {where}, "
        f"the base {percent(before['value'])}%: {_gap_words(gap)}, "
        f"{'one seed' if seeds == 1 else f'{seeds} seeds'}."
        f"{_control_words(run, place)}{_rl_words(run, place)}"
    )


def _control_words(run: Run, place: str) -> str:
    """What the controls of the gate and of the negative half gain over the base."""
    found = []
    for keys, value in ((GATE, "random"), (POSITIVE, "positive")):
        for control in controls(run.arms, keys, value)[:1]:
            arm = run.as_line(control)
            if (gap := change(run.difference(arm, place))) is not None:
                found.append(f"{run.titles[arm]} {gap['value']}")
    return f" Controls over the base: {', '.join(found)}." if found else ""


def _rl_words(run: Run, place: str) -> str:
    """The RL arms' accuracy, where there are any: what the main arm is measured against."""
    known = [
        f"{run.titles[arm]} {percent(row['value'])}%"
        for arm, member in zip(run.shown, run.single, strict=True)
        if is_rl(run.arms[member])
        and (row := run.row(arm, place)) is not None
        and row["value"] is not None
    ]
    return f" Reinforcement learning: {', '.join(known)}." if known else ""


def _gap_words(gap: Row) -> str:
    value, low, high = (signed(100 * gap[key]) for key in ("value", "low", "high"))
    interval = f"95%\u00a0interval {low}\u00a0to\u00a0{high}"
    if gap["p_corrected"] > ALPHA:
        words = str(gap["statement"]).partition(" (")[0]
        return f"{words} ({value}\u00a0points, {interval})"
    direction = "a gain" if gap["value"] > 0 else "a loss"
    return f"{direction} of {value[1:]}\u00a0points ({interval})"


def advice(run: Run) -> str | None:
    """Whether to take the main arm or the one without wrong rollouts; None where one is missing.

    The one that does better on the benchmarks, and where no difference is shown the simpler one,
    which learns from correct rollouts alone. Neither, where that has no gain to show.
    """
    against_main = {row["arm"]: row for row in run.metrics.get("ablations", [])}
    positive = [run.as_line(arm) for arm in controls(run.arms, POSITIVE, "positive")]
    gap = next((against_main[arm] for arm in positive if arm in against_main), None)
    if gap is None or set(gap["benchmarks"]) != set(run.benchmarks):
        return None
    main, simple = run.titles[str(run.main)], run.titles[gap["arm"]]
    interval = f"{signed(100 * gap['low'])} to {signed(100 * gap['high'])}"
    points = f"{percent(abs(gap['value']))}\u00a0points"
    if gap["p_corrected"] > ALPHA:
        taken, why = (
            gap["arm"],
            (
                f"it learns from correct rollouts alone, and no difference from {main} is shown "
                f"({signed(100 * gap['value'])}\u00a0points, {interval})"
            ),
        )
    elif gap["value"] > 0:
        taken, why = gap["arm"], f"it does better than {main}, by {points} ({interval})"
    else:
        taken, why = str(run.main), f"{simple} does worse, by {points} ({interval})"
    if not {gap["arm"], run.main} <= {seeds_name(line) for line in run.seeds}:
        why += ", with one seed"
    gain = run.difference(taken, run.place)
    if gain is None or gain["p_corrected"] > ALPHA or gain["value"] < 0:
        return f"The base as it is: neither {main} nor {simple} has a gain to show."
    return f"{run.titles[taken]}: {why}."


def remarks(run: Run) -> list[str]:
    """What the table's intervals and marks hold, and what they leave out."""
    found = [
        "Under each value stands its 95% interval over problems: Wilson's for an arm, for "
        "differences a studentised bootstrap, or exact where fewer than 25 problems differ. ▲ and "
        "▼ mark differences to the base that remain after Holm's correction for the number of "
        "comparisons; △ and ▽ those whose own interval leaves out zero but that do not remain; ○ "
        "means that no difference is shown.",
    ]
    trained = [arm for arm in run.arms.values() if arm["kind"] in MADE and not arm["swept"]]
    once = {arm["line"] for arm in trained} - {*run.seeds}
    if run.seeds:
        found.append("Intervals of lines over several seeds hold the choice of seeds as well.")
    if once:
        seed = run.arms[min(once)]["seed"] or 0
        who = "Every arm" if not run.seeds else f"{len(once)} arm{'s' if len(once) > 1 else ''}"
        found.append(
            f"{who} {'was' if len(once) == 1 or not run.seeds else 'were'} trained with one seed: "
            "seed variance is not in the intervals, and one seed proves nothing about a method. "
            f"For more give the arm seeds: [{seed}, {seed + 1}, {seed + 2}] in the config and run "
            "the same command again; what is there stays and counts as the first of them."
        )
    apart = sum(not arm["swept"] and run.is_ablation(name) for name, arm in run.arms.items())
    if apart:
        found.append(f"{apart} more that some benchmarks alone saw: among the ablations, below.")
    return found


def gain_parts(run: Run) -> list[dict[str, Any]]:
    """Each benchmark's gain of the main arm, split into format and reasoning (in points).

    accuracy = share with an answer x accuracy of those; each factor's change is weighted with
    the mean of the other, so that the two parts add up to the gain, which is the table's.
    """
    found = []
    for benchmark in run.benchmarks:
        gain = run.difference(str(run.main), benchmark)
        pair = [
            [run.row(str(arm), benchmark, key) for key in ("unparseable", "accuracy-parsed")]
            for arm in (run.base, run.main)
        ]
        numbers = [(row["value"], of["value"] or 0.0) for row, of in pair if row and of]
        if gain is None or len(numbers) < 2:
            continue
        (u0, a0), (u1, a1) = numbers
        given = 100 * (u0 - u1) * (a0 + a1) / 2
        total = 100 * gain["value"]
        found.append(
            {
                **{"name": benchmark, "benchmark": run.titles[benchmark]},
                **{"format": given, "reasoning": total - given, "total": total},
                "change": change(run.difference(str(run.main), benchmark, "accuracy-parsed")),
            }
        )
    return found


def details(run: Run) -> list[dict[str, Any]]:
    """Every row of the metrics as texts, a table a benchmark: arms x metrics."""
    found = []
    for benchmark in [*run.benchmarks, MEAN] if len(run.benchmarks) > 1 else run.benchmarks:
        rows = [row for row in run.metrics["rows"] if row["benchmark"] == benchmark]
        metrics = list(dict.fromkeys(row["metric"] for row in rows))
        cells = {
            arm: [_plain(run.row(arm, benchmark, metric), metric) for metric in metrics]
            for arm in dict.fromkeys(row["arm"] for row in rows)
        }
        shown = [{"title": run.titles.get(arm, arm), "cells": own} for arm, own in cells.items()]
        found.append({"title": run.titles[benchmark], "metrics": metrics, "rows": shown})
    return found


def _plain(row: Row | None, metric: str) -> dict[str, str] | None:
    if row is None or row["value"] is None:
        return None
    scale = 1 if metric == "length" else 100
    value, low, high = (f"{scale * row[key]:.1f}" for key in ("value", "low", "high"))
    return {"value": value, "interval": f"{low}–{high}"}


def tested(claim: Row) -> bool:
    """Whether the run has any figure for a claim."""
    return any(condition["found"] for condition in claim["conditions"])


def untested(claims: Sequence[Row]) -> list[dict[str, str]]:
    """Claims that the run has no figure for, together where the same would test them."""
    groups: dict[str, list[str]] = {}
    for claim in claims:
        if not tested(claim):
            groups.setdefault(claim["needs"], []).append(f"{claim['id']} {claim['claim']}")
    return [{"claims": ", ".join(names), "needs": needs} for needs, names in groups.items()]


def tally(claims: Sequence[Row]) -> str:
    """How many claims hold, fail, are undecided or not tested here, in words."""
    counts = Counter(claim["verdict"].partition(" (")[0] for claim in claims)
    words = {
        "holds": "hold" if counts["holds"] != 1 else "holds",
        "fails": "fail" if counts["fails"] != 1 else "fails",
        "undecided": "undecided",
        "not tested": "not tested",
    }
    return ", ".join(f"{counts[key]} {word}" for key, word in words.items() if counts[key])


# --- the paper --------------------------------------------------------------------------------


def beside_paper(
    run: Run, published: Mapping[str, Any], reference: str | None
) -> dict[str, Any] | None:
    """The paper's rows for a base model beside ours, on the benchmarks of the same name."""
    rows = [row for row in published["results"] if row["model"] == reference]
    if not rows:
        return None
    names = list(published["benchmarks"])
    whole = set(run.benchmarks) == set(names)
    ours = [
        {
            **{"system": run.titles[arm], "scores": [_score(run.row(arm, b)) for b in names]},
            "mean": _score(run.row(arm, MEAN)) if whole else None,
        }
        for arm in run.shown
    ]
    return {
        "model": reference,
        "benchmarks": [published["benchmarks"][name] for name in names],
        "paper": [
            {
                "system": row["system"],
                "scores": [percent(row["scores"][name]) for name in names],
                "mean": percent(row["mean"]),
                "cost": _paper_cost(row),
            }
            for row in rows
        ],
        "ours": ours if set(names) & set(run.benchmarks) else [],
    }


def _score(row: Row | None) -> str | None:
    return None if row is None or row["value"] is None else percent(row["value"])


def _paper_cost(row: Row) -> str | None:
    if row.get("cost_usd") is None:
        return None
    return f"{'≈ ' if row.get('cost_estimated') else ''}${row['cost_usd']:,}"


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """`count` of the items, evenly over all of them, in their order."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]
