"""Command `show`: a run's main table in the terminal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import UserError
from . import view
from .page import read_run

HELP = "print a run's main table"

STYLES = {"up": "bold blue", "down": "bold yellow", "none": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", nargs="?", type=Path, help="a run's folder; default: the latest under results/"
    )


def main(args: argparse.Namespace) -> None:
    folder = args.run or latest(Path("results"))
    run = view.Run(*read_run(folder / "metrics.json", folder / "figures.json"))
    content = view.main_table(run)
    table = Table(title=f"{run.metrics['run']}: accuracy in percent", title_justify="left")
    table.add_column("arm")
    for column in content["columns"]:
        table.add_column(Text(f"{column['title']}\n{column['about']}"), justify="right")
    for row in content["rows"]:
        table.add_row(Text(row["title"]), *(_cell(cell) for cell in row["cells"]))
    console = Console()
    console.print(table)
    console.print(Text(view.verdict(run)))


def _cell(cell: dict[str, Any] | None) -> Text:
    if cell is None:
        return Text("–", style="dim")
    text = Text(cell["value"])
    if cell["change"]:
        change = cell["change"]
        text.append(f" {change['mark']} {change['value']}", style=STYLES[change["kind"]])
    return text.append(f"\n{cell['interval']}", style="dim")


def latest(results: Path) -> Path:
    """The run whose metrics are the newest."""
    found = sorted(results.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(
            f"{results}: no run has metrics yet; "
            "make some, with the run's --configfile: snakemake --cores all metrics"
        )
    return found[-1].parent
