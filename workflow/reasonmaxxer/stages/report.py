"""Stage `report`: one self-contained page from metrics and small samples.

Nothing that a model or a dataset wrote reaches the page as markup: texts are escaped by the
template, data sits in JSON whose <, > and & are escaped, and the page's policy forbids requests.
"""

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .. import tables
from ..analysis import timings
from ..analysis.timings import Job
from ..config import ReportConfig
from ..errors import UserError
from ..report import charts, footprint, view
from ..report.spec import THEME
from ..report.view import Run, read_run

HELP = "render a run's page: one HTML file that needs no network"

TEMPLATE = "report.html.j2"
LIMIT_BYTES = 8 << 20
PUBLISHED = Path(__file__).resolve().parents[3] / "data" / "published.yaml"
# JSON inside <script>: characters that could end the element, or a line for JavaScript.
ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def render(
    metrics: Mapping[str, Any],
    figures: Mapping[str, Any],
    config: ReportConfig,
    page: Path,
    jobs: list[Job],
    published: Mapping[str, Any],
) -> str:
    """The page as HTML. Raises `UserError` when the template folder is not complete."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

    environment = Environment(
        loader=FileSystemLoader(page),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "count": count, "points": view.signed}
    run = Run(metrics, figures)
    try:
        return environment.get_template(TEMPLATE).render(
            **context(run, config, jobs, published), **assets(page)
        )
    except TemplateError as error:
        raise UserError(f"{page / TEMPLATE}: {type(error).__name__}: {error}") from error


def context(
    run: Run, config: ReportConfig, jobs: list[Job], published: Mapping[str, Any]
) -> dict[str, Any]:
    """What the template speaks of."""
    figures = run.figures
    stages = timings.stage_rows(jobs, figures["tokens"], config.price_per_hour)
    seconds = {row["arm"]: row["seconds"] for row in run.metrics.get("costs", [])}
    rollouts = figures["rollouts"][: config.rollouts_shown]
    drawn = all_charts(run)
    pairs = view.spread(figures["pairs"], config.rollouts_shown)
    shown = {**(figures["config"] or {}), "report": config.model_dump(mode="json")}
    return {
        "title": config.title,
        "run": run,
        "figures": figures,
        "verdict": view.headline(run),
        "advice": view.advice(run),
        "remarks": view.remarks(run),
        "table": view.main_table(run),
        "making": [
            {
                "seconds": seconds.get(arm),
                "dollars": timings.dollars(seconds.get(arm), config.price_per_hour),
            }
            for arm in run.single
        ],
        "price": config.price_per_hour,
        "ablations": view.ablations(run),
        "costs": view.costs(run, config.price_per_hour),
        "gains": view.gain_parts(run),
        "details": view.details(run),
        "differences": run.metrics["differences"],
        "claims": [claim for claim in run.metrics["claims"] if view.tested(claim)],
        "untested": view.untested(run.metrics["claims"]),
        "tally": view.tally(run.metrics["claims"]),
        "footprint": footprint.section(run.metrics.get("footprint"), run.titles),
        "published": published,
        "paper": view.beside_paper(run, published, config.reference),
        "stages": stages,
        "total_seconds": timings.total(row["seconds"] for row in stages),
        "unit": timings.unit_of(jobs),
        "charts": drawn,
        "versions": versions(figures),
        "config": yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=100),
        "data": script_json({"rollouts": rollouts, "pairs": pairs, "titles": run.titles}),
        "specs": script_json({"theme": THEME, "charts": drawn}),
        "rollouts": rollouts,
        "pairs": pairs,
    }


def versions(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Package versions of all stages; several where stages ran under different ones."""
    found: dict[str, set[str]] = {}
    for row in figures["provenance"]:
        for package, version in (row["versions"] or {}).items():
            found.setdefault(package, set()).add(version)
    return [(package, ", ".join(sorted(names))) for package, names in sorted(found.items())]


NOTHING_TO_DRAW = {
    "data": {"values": [{}]},
    "mark": {"type": "text", "text": "This run has nothing to draw here."},
}


def all_charts(run: Run) -> dict[str, Any]:
    """Charts by the id of their place in the page; None where there is nothing to draw."""
    figures, metrics, single = run.figures, run.metrics, run.single
    rows = metrics["rows"]
    found = {
        "gains": charts.gains(metrics["differences"], run.titles, run.shown),
        "pass-at-k": charts.pass_at_k(rows, run.titles, run.shown),
        "entropy": charts.entropy(figures["entropy"]),
        "pass-rates": charts.pass_rates(figures["pool"]),
        "training": charts.training(figures["training"], run.titles, single),
        "validation": charts.validation(
            figures["validation"], run.titles, single, metrics["costs"], metrics["cost_unit"]
        ),
        **footprint.all_charts(metrics.get("footprint"), run.titles),
    }
    return found | {f"sweep-{key}": spec for key, spec in charts.sweep(rows, run.arms)}


def assets(page: Path) -> dict[str, Any]:
    """Styles and scripts of the page, inlined as they stand."""
    import vl_convert
    from markupsafe import Markup

    return {
        "style": Markup((page / "page.css").read_text(encoding="utf-8")),
        "scripts": [
            Markup((page / name).read_text(encoding="utf-8"))
            for name in ("charts.js", "reader.js", "tables.js")
        ],
        "vega": Markup(vl_convert.javascript_bundle().replace("</script", "<\\/script")),
    }


def as_svg(spec: dict[str, Any], colours: Mapping[str, str]) -> str:
    """A chart as a picture of its own, in the page's light colours."""
    import vl_convert

    shown = {**spec, "config": THEME, **({"columns": 3} if "facet" in spec else {"width": 420})}
    text = re.sub(r"var\(--([\w-]+)\)", lambda name: colours[name[1]], json.dumps(shown))
    return str(vl_convert.vegalite_to_svg(text))


def light_colours(style: str) -> dict[str, str]:
    """The values of the page's variables, as its styles give them first."""
    root = style[: style.index("}")]
    return dict(re.findall(r"--([\w-]+): (#\w+);", root))


def script_json(data: Any) -> Any:
    """JSON that may stand inside a <script> element, whatever text it holds."""
    from markupsafe import Markup

    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(ESCAPES))


def duration(seconds: float | None) -> str:
    """Seconds as people say them, in one piece."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.0f}\u00a0s"
    minutes = seconds / 60
    return f"{minutes:.0f}\u00a0min" if minutes < 120 else f"{minutes / 60:.1f}\u00a0h"


def count(number: float | None) -> str:
    return "–" if number is None else f"{number:,.0f}"


# --- the command ------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--metrics", required=True, type=Path, help="metrics.json of the run")
    parser.add_argument("--figures", required=True, type=Path, help="figures.json of the run")
    parser.add_argument("--template", required=True, type=Path, help="folder of the template")
    parser.add_argument("--config", required=True, help="config section `report`, as JSON")
    parser.add_argument(
        "--benchmarks-dir", required=True, type=Path, help="Snakemake's timings of the run's jobs"
    )
    parser.add_argument(
        "--published", type=Path, default=PUBLISHED, help="the paper's figures, as YAML"
    )
    parser.add_argument(
        "--charts",
        nargs="*",
        default=[],
        type=Path,
        help="charts of the page to write as SVG files, each named after its place in the page",
    )
    parser.add_argument("--out", required=True, type=Path, help="page to write")


def main(args: argparse.Namespace) -> None:
    config = ReportConfig.from_json(args.config)
    metrics, figures = read_run(args.metrics, args.figures)
    jobs = timings.read_jobs(args.benchmarks_dir)
    html = render(metrics, figures, config, args.template, jobs, read_published(args.published))
    if len(html.encode()) > LIMIT_BYTES:
        raise UserError(
            f"{args.out}: the page would take {len(html.encode()) >> 20} MB, over the limit of "
            f"{LIMIT_BYTES >> 20}; lower report.rollouts_shown"
        )
    tables.write_text(args.out, html)
    colours = light_colours((args.template / "page.css").read_text(encoding="utf-8"))
    drawn = all_charts(Run(metrics, figures))
    for path in args.charts:
        tables.write_text(path, as_svg(drawn[path.stem] or NOTHING_TO_DRAW, colours))


def read_published(path: Path) -> dict[str, Any]:
    """The paper's figures. Raises `UserError` when the file cannot be read."""
    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: the paper's figures cannot be read: {error}") from error
