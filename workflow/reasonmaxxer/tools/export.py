"""Leave with the result: an adapter for PEFT, or merged into its base, with a model card."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

from .. import config, tables
from ..config import Config, ModelConfig
from ..errors import UserError
from ..method.kinds import KINDS, MADE
from ..tables.artefacts import check_adapter
from ..training.model_card import front, how, usage

HELP = "pack a run's adapter, or merge it into its base, with a model card"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--configfile", nargs="+", required=True, help="config files of the run")
    parser.add_argument("--arm", default="reasonmaxxer", help="the arm whose adapter it is")
    parser.add_argument("--results", default="results", type=Path, help="folder of all runs")
    parser.add_argument("--out", required=True, type=Path, help="folder to write; must not exist")
    parser.add_argument(
        "--merge", action="store_true", help="write a whole model instead of an adapter"
    )
    parser.add_argument(
        "--licence",
        help="licence of the base, for the card; by default the one of the base's own card",
    )


def main(args: argparse.Namespace) -> None:
    run = config.load(args.configfile)
    folder = args.results / run.run
    adapter = folder / "adapters" / args.arm
    made = run.of_kind(*MADE)
    if args.arm not in made:
        raise UserError(f"--arm {args.arm}: the run trains {', '.join(made)}")
    if run.is_whole(args.arm):
        raise UserError(
            f"--arm {args.arm}: is a whole model, not an adapter; use it as it is: {adapter}"
        )
    if not (adapter / "adapter_model.safetensors").is_file():
        raise UserError(
            f"{adapter}: no adapter there yet; make it with: snakemake --cores all checkpoint "
            f"--configfile {shlex.join(args.configfile)}"
        )
    check_adapter(adapter)
    if args.out.exists():
        raise UserError(f"--out {args.out}: already exists; give the name of a new folder")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{args.out.name}.", dir=args.out.parent))
    try:
        if args.merge:
            from ..stages.merge import merge

            merge(run.model, adapter, scratch)
        else:
            for name in ("adapter_model.safetensors", "adapter_config.json"):
                shutil.copyfile(adapter / name, scratch / name)
        licence = args.licence or base_licence(run.model)
        text = card(run, args.arm, folder, args.out.name, args.merge, licence)
        tables.write_text(scratch / "README.md", text)
        scratch.chmod(0o755)
        scratch.rename(args.out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"wrote {args.out}")


def base_licence(model: ModelConfig) -> str | None:
    """`license` of the base's own card, in its folder or on the hub; None where there is none."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.repocard import metadata_load

    try:
        if Path(model.path).is_dir():
            path = f"{model.path}/README.md"
        else:
            path = hf_hub_download(model.path, "README.md", revision=model.revision)
        front_matter = metadata_load(path) or {}
    except Exception:  # no card, no hub, no front matter that can be read: the export goes on
        return None
    licence = front_matter.get("license")
    return licence if isinstance(licence, str) else None


def card(run: Config, arm: str, folder: Path, name: str, merged: bool, licence: str | None) -> str:
    """The model card: what it is, how it was made, what was measured, how to use it."""
    base = run.model.path + (f" at {run.model.revision}" if run.model.revision else "")
    sections = {
        key: run.section_of(arm, key).model_dump(mode="json", exclude_none=True)
        for key in KINDS[run.arms[arm].kind].sections
    }
    rank = None if merged else run.section_of(arm, [*sections][-1]).rank
    recipe = "\n".join(f"- {key}: `{json.dumps(value)}`" for key, value in sections.items())
    what = "A whole model" if merged else "A LoRA adapter"
    return f"""{front(run.model, merged, licence)}
# {name}

{what} made from {base}, {how(run, arm)} (arm `{arm}` of run `{run.run}`).
Licence of the base: {licence or "see there"}.

## Use

{usage(run.model, rank, name, name)}
The prompt it was trained with: `{run.prompt.template}`{_instruction(run)}.

## Data

{_data(run)}

## Recipe

{recipe}

## Figures

{_figures(run, arm, folder)}
"""


def _instruction(run: Config) -> str:
    return f", with `{run.prompt.instruction}` behind the problem" if run.prompt.instruction else ""


def _data(run: Config) -> str:
    lines = []
    for split in ("train", "validation"):
        for source in getattr(run.problems, split):
            given = source.model_dump(mode="json", by_alias=True, exclude_none=True)
            lines.append(f"- {split}: `{json.dumps(given)}`")
    return "\n".join(lines)


def _figures(run: Config, arm: str, folder: Path) -> str:
    """Accuracy of base and arm on every benchmark, with 95% intervals."""
    path = folder / "metrics.parquet"
    if not path.exists():
        return "Not evaluated yet."
    found = {
        (row["arm"], row["benchmark"]): _share(row)
        for row in tables.rows(path, "metrics")
        if row["metric"] == "accuracy"
    }
    lines = ["| benchmark | base | this |", "|---|---|---|"]
    for name, benchmark in run.benchmarks.items():
        cells = [found.get((which, name), "") for which in (run.base_arm, arm)]
        lines.append(f"| {benchmark.title or name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n\nShares solved, with 95% intervals over problems."


def _share(row: dict[str, Any]) -> str:
    if row["low"] is None:
        return f"{row['value']:.3f}"
    return f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
