"""Command `show`: a run's main table in the terminal."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import UserError
from . import view

HELP = "print a run's main table"

STYLES = {"up": "bold blue", "down": "bold yellow", "none": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", nargs="?", type=Path, help="a run's folder; default: the latest under results/"
    )


def main(args: argparse.Namespace) -> None:
    folder = args.run or latest(Path("results"))
    run = view.Run(*view.read_run(folder / "metrics.json", folder / "figures.json"))
    content = view.main_table(run)
    heads = [Text(f"{column['title']}\n{column['about']}") for column in content["columns"]]
    grid = [[Text("arm"), *heads]]
    grid += [[Text(row["title"]), *map(_cell, row["cells"])] for row in content["rows"]]
    title = f"{run.metrics['run']}: accuracy in percent"
    console = Console()
    table = _table(title, grid)
    if _width(table) > console.width:
        grid[0][0] = Text("benchmark")
        table = _table(title, [list(row) for row in zip(*grid, strict=True)])
    # Never narrower than its figures, which would be cut: lines wrap instead.
    Console(width=max(console.width, _width(table))).print(table)
    console.print(Text(view.headline(run)))


def _width(table: Table) -> int:
    """Characters that it takes with nothing wrapped."""
    return Console(width=10_000).measure(table).maximum


def _table(title: str, grid: list[list[Text]]) -> Table:
    """Rows of cells, the first of them the heads."""
    table = Table(title=title, title_justify="left")
    for column, head in enumerate(grid[0]):
        table.add_column(head, justify="right" if column else "left")
    for row in grid[1:]:
        table.add_row(*row)
    return table


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
            "make them, with the run's --configfile: snakemake --cores all metrics"
        )
    return found[-1].parent
