"""From "I have model X and problems Y" to a config that runs: written, commented and checked."""

import argparse
import json
import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import config, tables
from ..config import HubSource, ModelConfig, PromptConfig, TrainingConfig
from ..datasets.readers import read_file, suffix
from ..datasets.sources import HUB_ID, read_hub, read_register, suggest
from ..errors import UserError, hub_error
from ..generation.chat_template import not_closed
from ..generation.prompts import load_tokenizer
from ..graph.checks import TAKEN_BENCHMARKS, check
from ..modeling.base_model import linear_modules, model_settings, skeleton
from ..modeling.dimensions import HUB_SECONDS
from ..stages.convert import convert
from ..stages.problems import is_list
from .arguments import at_least
from .check import report

HELP = "write a commented config for a model and problems of yours, and check it"
# Best first; letters may be large or small.
PROBLEM_COLUMNS = (
    *("problem", "question", "problem_text", "question_text", "problem_statement"),
    *("question_content", "prompt", "query", "input", "instruction", "text"),
)
ANSWER_COLUMNS = (
    *("answer", "final_answer", "expected_answer", "ground_truth", "gt_answer", "gold_answer"),
    *("correct_answer", "reference_answer", "answers", "gold", "gt", "reference", "label"),
    *("solution", "target", "output", "response", "completion", "correct", "result"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", required=True, help="folder of a model, its id on the hub, or a GGUF file"
    )
    parser.add_argument("--revision", help="commit of the hub repository; today's by default")
    parser.add_argument(
        "--problems",
        required=True,
        help="a .jsonl, .csv or .parquet file, a registered name, or a dataset of the hub as "
        "OWNER/NAME[:CONFIGURATION[:SPLIT]]",
    )
    parser.add_argument(
        "--benchmarks",
        nargs="+",
        default=["math500", "gsm8k"],
        help="the same; by default math500 and gsm8k",
    )
    parser.add_argument("--train", type=at_least(1), default=150, help="problems to train on")
    parser.add_argument(
        "--validation",
        type=at_least(1),
        default=50,
        help="problems that the best checkpoint is chosen on",
    )
    parser.add_argument(
        "--gpus",
        type=at_least(0),
        help="GPUs of the machine that it will run on, say a cluster's node; this machine's by "
        "default",
    )
    parser.add_argument("--run", help="name of the run; the output file's by default")
    parser.add_argument("--out", required=True, type=Path, help="config file to write")


def main(args: argparse.Namespace) -> None:
    if args.out.exists():
        raise UserError(
            f"--out {args.out}: already exists; edit it, or give the name of a new file"
        )
    with tables.replacing(args.out) as draft:  # a wrong config leaves no file behind
        draft.write_text(text(args), encoding="utf-8")
        run = config.validate(config.read_file(draft), str(args.out))
        check(run)
    print(f"wrote {args.out}; checking it")
    report(run, elsewhere=args.gpus is not None)
    place = shlex.quote(str(args.out))
    print(f"run it: snakemake --cores all results/report.html --configfile {place}")


def text(args: argparse.Namespace) -> str:
    """The config, with what was found out about the model and the files."""
    model = _model(args.model, args.revision)
    tokenizer = load_tokenizer(model)
    settings = model_settings(model.path, model)
    positions = getattr(settings, "max_position_embeddings", None) or 4096
    length = min(8192, positions)
    tokens = min(4096, length * 3 // 4)
    pool, problems = source_of(args.problems, "train")
    train, validation = _limits(args.train, args.validation, problems)
    gpu = (_gpus() if args.gpus is None else args.gpus) > 0
    return TEXT.format(
        run=json.dumps(args.run or _name(args.out) or "run"),
        model=json.dumps(model.path),
        gguf=f"\n  gguf: {json.dumps(model.gguf)}" if model.gguf else "",
        revision=json.dumps(model.revision),
        dtype="bfloat16" if gpu else "float32",
        length=length,
        positions=positions,
        prompt=_prompt(model, tokenizer),
        train=_flow({**pool, "limit": train, "shuffle": 1}),
        validation=_flow({**pool, "limit": validation, "shuffle": 1, "skip": train}),
        benchmarks="\n".join(
            f"  {json.dumps(name)}: {{source: {_flow(source_of(given, 'test')[0])}}}"
            for name, given in _named(args.benchmarks).items()
        ),
        tokens=tokens,
        rate=_learning_rate(settings),
        targets=_targets(settings),
        resources="{gpu: 1, threads: 4, mem_mb: 15000, runtime: 480}" if gpu else "{gpu: 0}",
    )


def _model(given: str, revision: str | None) -> ModelConfig:
    """The model; a GGUF file is converted first, as a run would do it."""
    if not given.endswith(".gguf"):
        return ModelConfig(path=given, revision=revision or commit_of(given))
    name = Path(given.rpartition(":")[2]).stem.lower()
    folder = f"results/models/{re.sub(r'[^a-z0-9._-]+', '-', name)}"
    if not Path(folder, "config.json").exists():
        print(f"converting {given} to {folder}")
        convert(given, folder)
    return ModelConfig(path=folder, gguf=given)


def _limits(train: int, validation: int, there: int | None) -> tuple[int, int]:
    """How many problems to train and to validate on, in proportion where there are too few."""
    if there is None or train + validation <= there:
        return train, validation
    if there < 2:
        raise UserError("--problems: two problems are needed, to train and to validate on")
    fitting = min(max(1, there * validation // (train + validation)), there - 1)
    print(
        f"--problems has {there}: {there - fitting} to train on and {fitting} to validate on, "
        f"instead of {train} and {validation}"
    )
    return there - fitting, fitting


def commit_of(model: str) -> str | None:
    """The commit that a model of the hub is at today; None for a folder, and without an answer."""
    from huggingface_hub import HfApi

    if Path(model).is_dir():
        return None
    try:
        return HfApi().model_info(model, timeout=HUB_SECONDS).sha
    except Exception:  # offline, or the cache has it; what is wrong with the model is said later
        return None


def source_of(given: str, split: str) -> tuple[dict[str, Any], int | None]:
    """A source for a name, or for a file or a dataset of the hub: its columns and marks guessed.

    With the number of its problems, if known. `split` is read of a dataset that is given without.
    """
    if given in (known := read_register()):
        count = known[given].rows
        return {"register": given}, count if isinstance(count, int) else None
    if suffix(Path(given)) in (".jsonl", ".csv", ".parquet"):
        place: dict[str, Any] = {"path": given}
        rows = read_file(given)
    elif "/" in given and not Path(given.partition(":")[0]).exists():
        hub = _hub_source(given, split)
        place = {"hub": hub.model_dump(exclude_defaults=True)}
        rows = read_hub(hub)
    else:
        raise UserError(
            f"{given}: no .jsonl, .csv or .parquet file, no dataset of the hub (OWNER/NAME) and "
            f"no registered name; {suggest(given, known)}"
        )
    if not rows:
        raise UserError(f"{given}: contains no problem")
    first = rows[0].values
    problem = _column(first, PROBLEM_COLUMNS, given, str)
    answer = _column(first, ANSWER_COLUMNS, given, object)
    listed = isinstance(first[answer], list) or is_list(str(first[answer]))
    extract = "first" if listed else "plain"
    for mark, way in (("####", "hashes"), ("\\boxed{", "boxed")):
        if sum(mark in str(row.values.get(answer)) for row in rows) > len(rows) / 2:
            extract = way
    return {**place, "problem": problem, "answer": answer, "extract": extract}, len(rows)


def _hub_source(given: str, split: str) -> HubSource:
    """What OWNER/NAME[:CONFIGURATION[:SPLIT]] is today."""
    import datasets
    from huggingface_hub import HfApi

    dataset, name, asked, *more = [*given.split(":"), "", ""]
    if any(more) or "/" not in dataset or not HUB_ID.fullmatch(dataset):
        raise UserError(f"{given}: a dataset of the hub is OWNER/NAME[:CONFIGURATION[:SPLIT]]")
    datasets.disable_progress_bars()
    try:
        revision = HfApi().dataset_info(dataset, timeout=HUB_SECONDS).sha
        names = datasets.get_dataset_config_names(dataset, revision=revision)
        name = name or datasets.get_dataset_default_config_name(dataset, revision=revision) or ""
        splits = []
        if name in names:
            splits = datasets.get_dataset_split_names(dataset, name, revision=revision)
    except Exception as error:
        raise UserError(f"{dataset}: {hub_error(error)}") from error
    if name not in names:
        raise UserError(
            f"{given}: give one of its configurations, as {dataset}:{names[0]}; it has "
            + ", ".join(names)
        )
    if asked and asked not in splits:
        raise UserError(f"{given}: no split '{asked}'; it has {', '.join(splits)}")
    return HubSource(
        dataset=dataset,
        revision=str(revision),
        name=None if name == "default" else name,
        split=asked or (split if split in splits else splits[0]),
    )


def _column(row: Mapping[str, Any], names: tuple[str, ...], file: str, kind: type) -> str:
    there = {
        re.sub(r"[\W_]+", "_", str(name).strip().casefold()): name
        for name in row
        if isinstance(row[name], kind)
    }
    # A column of one of the names, or else one that ends in it, as numerical_answer does.
    ends = (there[name] for wanted in names for name in there if name.endswith(f"_{wanted}"))
    found = next((there[name] for name in names if name in there), None) or next(ends, None)
    if found is None:
        raise UserError(
            f"{file}: none of the columns {', '.join(names)}{' has text' if kind is str else ''}; "
            f"it has {', '.join(map(str, row))}. "
            "Write the config by hand, with `problem:` and `answer:`, or rename a column"
        )
    return found


def _prompt(model: ModelConfig, tokenizer: Any) -> str:
    """The section for a chat model, or for a base model: one whose turns, if any, do not end."""
    why = "The model has no chat template"
    if tokenizer.chat_template:
        open_end = not_closed(model, PromptConfig(), tokenizer)
        if open_end is None:
            return CHAT_PROMPT
        why = f"The model has a chat template, but {open_end}:\n# it is taken for a base model"
    return f"# {why}. A plain prompt, as the paper has it for base models.\n{BASE_PROMPT}"


def _learning_rate(settings: Any) -> str:
    """The lab's 6e-4 at its width of 128, less by the square root of the width.

    At the widths of 3,000 to 5,000 that the paper trains, this is its 1e-4.
    """
    return f"{6e-4 * math.sqrt(128 / getattr(settings, 'hidden_size', 1024)):.1e}"


def _targets(settings: Any) -> str:
    """The key `target_modules` of an architecture whose modules have other names than Llama's."""
    linear = linear_modules(skeleton(settings))
    if not linear or {*TrainingConfig.model_fields["target_modules"].default} <= linear.keys():
        return ""
    attention = [name for name, place in linear.items() if re.search(r"(?i)att", place)]
    return TARGETS.format(targets=json.dumps(sorted(attention or linear)))


def _named(benchmarks: list[str]) -> dict[str, str]:
    """Each benchmark under a name of its own: exam, exam-2, ..."""
    named: dict[str, str] = {}
    for given in benchmarks:
        name = wanted = _name(Path(given)) or "benchmark"
        number = 1
        while name in named or name in TAKEN_BENCHMARKS:
            number += 1
            name = f"{wanted}-{number}"
        named[name] = given
    return named


def _name(path: Path) -> str:
    """A file's name in the letters that a config's names have; empty if none is left."""
    return re.sub(r"[^a-z0-9._+=-]+", "-", path.stem.lower()).strip("._+=-")[:60]


def _flow(values: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in values.items()) + "}"


def _gpus() -> int:
    import torch

    return int(torch.cuda.device_count())


CHAT_PROMPT = """\
# The model's own chat template, one user turn.
prompt:
  template: chat
  instruction: Reason step by step, and put your final answer within \\boxed{}."""

BASE_PROMPT = """\
prompt:
  template: config/prompts/qwen_boxed.txt
  stop: ["Human:", "Assistant:", "Problem:"]"""

TARGETS = """
  # The modules that get an adapter: the linear ones of this architecture's attention.
  target_modules: {targets}"""

TEXT = """\
# Every key: config/README.md. Show a few prompts before you run: python -m reasonmaxxer prompt.

run: {run}

model:
  path: {model}{gguf}
  revision: {revision} # the commit of a hub model; without it a changed model goes unseen
  dtype: {dtype}
  max_length: {length} # prompt and completion together; the model has {positions} positions

{prompt}

# The same shuffle, and validation behind the training problems: the two share none.
# References are taken out of their column by `extract`: plain, boxed, hashes (####) or first.
problems:
  train:
    - {train}
  validation:
    - {validation}
  overlap: drop # a training problem that stands in validation or in a benchmark is left out

benchmarks:
{benchmarks}

rollouts: {{samples: 20, max_tokens: {tokens}}}
checkpoint: {{max_tokens: {tokens}}}
evaluation: {{max_tokens: {tokens}}}

# Decisions are the positions where the base model is least sure, which hold 95% of its entropy: a
# threshold in nats (the paper's `tau`) does not carry over between models. This recipe gained on
# six bases of the lab, where the paper's own settings gained next to nothing (docs/lab.md).
selection: {{problems: null, credit: prefix, entropy_share: 0.95}}
training:
  objective: ratio
  anchor_weight: 10
  learning_rate: {rate}
  sequences: 4000{targets}

arms:
  base: {{kind: base, title: Base model}}
  reasonmaxxer: {{title: ReasonMaxxer}}
  # Whether wrong rollouts help differs from base to base.
  positive-only: {{title: Positive only, selection: {{advantages: positive}}}}
  random-gate: {{title: Random gate, selection: {{gate: random}}}}

# GPUs, cores, memory (MB) and minutes of a stage's jobs; they change no result.
resources:
  generation: {resources}
  entropies: {resources}
  training: {resources}
"""
