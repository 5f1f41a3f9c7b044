"""Leave with the result: an adapter for PEFT, or merged into its base, with a model card."""

import argparse
import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import config, tables
from ..config import Config, HubSource, ModelConfig, Source
from ..datasets.sources import entry_of
from ..errors import UserError
from ..generation.prompts import encode_texts, load_tokenizer, render
from ..graph.protocol import protocol
from ..method.kinds import KINDS, MADE
from ..tables.artefacts import ADAPTER_CONFIG, ADAPTER_WEIGHTS, check_adapter, read_json
from ..training.model_card import front, how, usage

HELP = "pack a run's adapter, or merge it into its base, with a model card"

PAPER = "https://arxiv.org/abs/2605.06241"  # the hub finds the paper by this link in a card
INHERITED = ("license", "license_name", "license_link", "language")  # from the base's own card


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_arm_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, help="folder to write; must not exist")


def add_arm_arguments(parser: argparse.ArgumentParser) -> None:
    """Which arm is packed, and how."""
    parser.add_argument("--configfile", nargs="+", required=True, help="config files of the run")
    parser.add_argument("--arm", default="reasonmaxxer", help="the arm whose adapter it is")
    parser.add_argument("--results", default="results", type=Path, help="folder of all runs")
    parser.add_argument(
        "--merge", action="store_true", help="write a whole model instead of an adapter"
    )
    parser.add_argument(
        "--licence",
        help="licence of the base, for the card; by default the one of the base's own card",
    )


def main(args: argparse.Namespace) -> None:
    if args.out.exists():
        raise UserError(f"--out {args.out}: already exists; give the name of a new folder")
    run = load(args)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{args.out.name}.", dir=args.out.parent))
    try:
        pack(run, args, scratch, args.out.name)
        scratch.chmod(0o755)
        scratch.rename(args.out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"wrote {args.out}")


def load(args: argparse.Namespace) -> Config:
    """The run, if the arm that is asked for has an adapter there; its base by its whole path."""
    run = config.load(args.configfile)
    adapter = args.results / run.run / "adapters" / args.arm
    made = run.of_kind(*MADE)
    if args.arm not in made:
        raise UserError(f"--arm {args.arm}: the run trains {', '.join(made)}")
    if run.is_whole(args.arm):
        raise UserError(
            f"--arm {args.arm}: is a whole model, not an adapter; use it as it is: {adapter}"
        )
    if not (adapter / ADAPTER_WEIGHTS).is_file():
        raise UserError(
            f"{adapter}: no adapter there yet; make it with: snakemake --cores all checkpoint "
            f"--configfile {shlex.join(args.configfile)}"
        )
    check_adapter(adapter)
    if Path(run.model.path).is_dir():
        path = str(Path(run.model.path).resolve())
        run = run.model_copy(update={"model": run.model.model_copy(update={"path": path})})
    return run


def pack(run: Config, args: argparse.Namespace, out: Path, name: str) -> None:
    """Everything that is exported, into the folder `out`; `name` is what the card calls it."""
    folder = args.results / run.run
    adapter = folder / "adapters" / args.arm
    if args.merge:
        from ..stages.merge import merge

        merge(run.model, adapter, out)
    else:
        shutil.copyfile(adapter / ADAPTER_WEIGHTS, out / ADAPTER_WEIGHTS)
        settings = read_json(adapter / ADAPTER_CONFIG)
        settings["base_model_name_or_path"] = run.model.path
        tables.write_text(out / ADAPTER_CONFIG, json.dumps(settings, indent=1))
    measured = list(results(run, args.arm, folder))
    inherited = {k: v for k, v in base_card(run.model).items() if k in INHERITED}
    if args.licence:
        inherited = {"language": inherited.get("language"), "license": args.licence}
    tables.write_text(out / "README.md", card(run, args.arm, name, args.merge, inherited, measured))
    for result in measured:
        write_result(run, result, out / ".eval_results" / f"{result['benchmark']}.yaml")


def base_card(model: ModelConfig) -> Mapping[str, Any]:
    """Front matter of the base's own card, in its folder or on the hub; empty without one."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.repocard import metadata_load

    try:
        if Path(model.path).is_dir():
            path = f"{model.path}/README.md"
        else:
            path = hf_hub_download(model.path, "README.md", revision=model.revision)
        return metadata_load(path) or {}
    except Exception:  # no card, no hub, no front matter that can be read: the export goes on
        return {}


def card(
    run: Config,
    arm: str,
    name: str,
    merged: bool,
    inherited: Mapping[str, Any],
    measured: list[dict[str, Any]],
) -> str:
    """The model card: what it is, how to use it, how it was made, what was measured."""
    base = run.model.path + (f" at {run.model.revision}" if run.model.revision else "")
    sections = {
        key: run.section_of(arm, key).model_dump(mode="json", exclude_none=True)
        for key in KINDS[run.arms[arm].kind].sections
    }
    rank = None if merged else run.section_of(arm, [*sections][-1]).rank
    recipe = "\n".join(f"- {key}: `{json.dumps(value)}`" for key, value in sections.items())
    sources = [*run.problems.train, *run.problems.validation]
    hub = {found.dataset: None for source in sources if (found := hub_source(source))}
    what = "A whole model" if merged else "A LoRA adapter"
    prompt = prompt_text(run, "{problem}")
    return f"""{front(run.model, merged, datasets=[*hub] or None, **inherited)}
# {name}

{what} made from {base}, {how(run, arm)} (arm `{arm}` of run `{run.run}`),
by [ReasonMaxxer]({PAPER}).
Licence of the base: {inherited.get("license") or "see there"}.

## Use

    {example(run, name)}

The prompt that it was trained with:

{quoted(prompt)}

{usage(run.model, rank, name, name)}
## Data

{data(run)}

## Recipe

{recipe}

## Figures

{_figures(run, measured)}
"""


def example(run: Config, name: str) -> str:
    """Three lines of Python that solve a problem, under the prompt that it was trained with."""
    options: dict[str, Any] = {"max_new_tokens": run.evaluation.max_tokens}
    if run.prompt.stop:
        options["stop_strings"] = run.prompt.stop
    given = "".join(f", {key}={value!r}" for key, value in options.items())
    given += ", tokenizer=generate.tokenizer" if run.prompt.stop else ""
    prompt = prompt_text(run, "What is 2 + 3?")
    return f"""from transformers import pipeline
    generate = pipeline("text-generation", {json.dumps(name)})
    print(generate({prompt!r}{given})[0]["generated_text"])"""


def prompt_text(run: Config, problem: str) -> str:
    """The prompt's text for programs that let the tokenizer put its own ids in front of it."""
    tokenizer = load_tokenizer(run.model)
    text = render(run.prompt, problem, tokenizer)
    if [tokenizer(text)["input_ids"]] != encode_texts([text], tokenizer):
        text = text.removeprefix(tokenizer.bos_token or "")
    return text


def quoted(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def data(run: Config) -> str:
    dumped = run.problems.model_dump(mode="json", by_alias=True, exclude_none=True)
    splits = ("train", "validation")
    lines = [f"- {split}: `{json.dumps(given)}`" for split in splits for given in dumped[split]]
    return "\n".join(lines)


def hub_source(source: Source) -> HubSource | None:
    """The dataset of the hub that a source is, by the register where it is named there."""
    return entry_of(source.register_).hub if source.register_ else source.hub


def results(run: Config, arm: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Accuracy of base and arm on every benchmark, with its protocol, as far as evaluated."""
    path = folder / "metrics.parquet"
    if not path.exists():
        return
    found = {
        (row["arm"], row["benchmark"]): row
        for row in tables.rows(path, "metrics")
        if row["metric"] == "accuracy"
    }
    for benchmark in run.benchmarks:
        own = found.get((arm, benchmark))
        if own is not None:
            sampling, _ = protocol(run, benchmark)
            told = (
                f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, at most "
                f"{sampling.max_tokens} tokens, samples of a problem: {own['samples']}, problems: "
                f"{own['problems']}"
            )
            base = found.get((run.base_arm, benchmark))
            yield {"benchmark": benchmark, "base": base, "arm": own, "protocol": told}


def _figures(run: Config, measured: list[dict[str, Any]]) -> str:
    if not measured:
        return "Not evaluated yet."
    lines = ["| benchmark | base | this | protocol |", "|---|---|---|---|"]
    for result in measured:
        title = run.benchmarks[result["benchmark"]].title or result["benchmark"]
        cells = [_share(result[which]) for which in ("base", "arm")]
        lines.append(f"| {' | '.join([title, *cells, result['protocol']])} |")
    return "\n".join(lines) + "\n\nShares solved, with 95% intervals over problems."


def _share(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    interval = "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
    return f"{row['value']:.3f}{interval}"


def write_result(run: Config, result: dict[str, Any], path: Path) -> None:
    """A result as the hub shows it beside those of other models, in percent.

    Only of a whole dataset of the hub: a part of one gives no figure of the benchmark.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    source = run.benchmarks[result["benchmark"]].source
    hub = hub_source(source)
    if hub is None or source.limit or source.skip or source.filter or source.levels:
        return
    row, notes = result["arm"], result["protocol"]
    if row["low"] is not None:
        bounds = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
        notes += f", 95% interval over problems {bounds}"
    entry = EvalResultEntry(
        dataset_id=hub.dataset,
        task_id=hub.name or "default",  # a benchmark's tasks are mostly its configurations
        value=round(100 * row["value"], 2),
        dataset_revision=hub.revision,
        notes=notes,
    )
    path.parent.mkdir(exist_ok=True)
    tables.write_text(path, yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False))
