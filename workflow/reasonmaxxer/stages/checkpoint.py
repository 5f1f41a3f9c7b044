"""Stage `checkpoint`: the checkpoint with the best pass@1 on validation, as a PEFT folder."""

import argparse
import contextlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .. import tables
from ..analysis.statistics import share_interval
from ..config import CheckpointConfig, ModelConfig, PromptConfig, TrainingConfig, VerdictsConfig
from ..errors import UserError
from ..generation.engine import Batch, open_engine
from ..generation.prompts import load_tokenizer, prompt_end
from ..modeling.base_model import model_settings, pack_adapter
from ..tables.artefacts import MODEL_WEIGHTS, check_weights
from ..tables.provenance import provenance
from ..training.lr_schedule import checkpoint_steps
from ..training.model_card import card
from ..training.tracking import Tracking, add_tracking_arguments
from ..verifier.extraction.transcript import opens_thinking
from .rollouts import GenerationJob, add_generation_arguments, hardware, load_prompts
from .verdicts import judged, reference_answers

HELP = "choose an arm's checkpoint on the validation problems and pack it for PEFT and vLLM"


def choose(
    verdicts: dict[int, list[list[str]]], min_parseable: float, keep_collapsed: bool = False
) -> tuple[int, list[dict[str, Any]]]:
    """The chosen checkpoint's number, and a row for each with its figures.

    `verdicts` maps checkpoint (0 is the base) and problem to the verdicts of its samples. A
    checkpoint whose share of parseable answers is below `min_parseable` of the base's has
    collapsed. Of equally good checkpoints the earliest is taken: pass rates are exact fractions
    until they are compared. Raises `UserError` where every checkpoint has collapsed, unless
    `keep_collapsed`.
    """
    rows = [_figures(number, problems) for number, problems in sorted(verdicts.items())]
    base, *checkpoints = rows
    for row in rows:
        row["collapsed"] = row["parseable"] < min_parseable * base["parseable"]
    sound = [row for row in checkpoints if not row["collapsed"]]
    if not sound and not keep_collapsed:
        raise UserError(
            f"training: every checkpoint has collapsed: the share of parseable answers on "
            f"validation fell from {base['parseable']:.2f} to at most "
            f"{max(row['parseable'] for row in checkpoints):.2f}; the last good state is the base "
            "itself. Lower training.learning_rate, raise training.anchor_weight, or set "
            "training.objective: ratio, which is bounded"
        )
    best = max(sound or checkpoints, key=lambda row: (row["pass_rate"], -row["checkpoint"]))
    return best["checkpoint"], rows


def _figures(number: int, problems: list[list[str]]) -> dict[str, Any]:
    samples = [verdict for problem in problems for verdict in problem]
    rates = [Fraction(sum(v == "correct" for v in p), len(p)) for p in problems]
    interval = share_interval(np.array(rates, dtype=np.float64), len(problems[0]))
    return {
        "checkpoint": number,
        "pass_rate": float(sum(rates) / len(rates)),
        "low": interval.low,
        "high": interval.high,
        "parseable": sum(v not in ("unparseable", "timeout") for v in samples) / len(samples),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_generation_arguments(parser)
    parser.add_argument("--arm", required=True, help="the arm's name, for the model card")
    parser.add_argument("--description", required=True, help="how it was trained, for its card")
    parser.add_argument(
        "--checkpoints",
        required=True,
        nargs="+",
        type=Path,
        help="checkpoint files, in order of training",
    )
    parser.add_argument("--training", required=True, help="config section `training`, as JSON")
    parser.add_argument("--config", required=True, help="config section `checkpoint`, as JSON")
    parser.add_argument("--verdicts", required=True, help="config section `verdicts`, as JSON")
    parser.add_argument(
        "--full-model", action="store_true", help="the checkpoints are whole models, not adapters"
    )
    parser.add_argument(
        "--keep-collapsed",
        action="store_true",
        help="if every checkpoint has collapsed, keep the best of them instead of stopping",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder of the adapter")
    parser.add_argument("--table", required=True, type=Path, help="table `validation` to write")
    parser.add_argument("--summary", required=True, type=Path, help="JSON of the choice to write")
    add_tracking_arguments(parser)


def main(args: argparse.Namespace) -> None:
    model = ModelConfig.from_json(args.model_config)
    training = TrainingConfig.from_json(args.training)
    validation = CheckpointConfig.from_json(args.config)
    job = GenerationJob.from_json(args.job)
    made_by = provenance("checkpoint", job.model_dump(mode="json"), args.checkpoints, job.seed)
    verdicts: dict[int, list[list[str]]] = {}
    with tables.open_writer(args.table, "validation", made_by) as writer:
        for number, rows in _validated(args, model, training, job):
            writer.write([{"checkpoint": number, **row} for row in rows])
            found = defaultdict(list)
            for row in rows:
                found[row["problem_id"]].append(row["verdict"])
            verdicts[number] = list(found.values())
    chosen, figures = choose(verdicts, validation.min_parseable, args.keep_collapsed)
    for row, step in zip(figures, [0, *checkpoint_steps(training)], strict=True):
        row["step"] = step
    with _tracking(args).open("validation", again=False) as report:
        for row in figures:
            report(row, row["step"])
    collapsed = figures[chosen]["collapsed"]
    record = {"chosen": chosen, "collapsed": collapsed, "checkpoints": figures}
    _pack(args.out, args.checkpoints[chosen - 1], model, training, args.full_model)
    text = card(args.arm, args.description, model, training, args.full_model, _choice(record))
    tables.write_text(args.out / "README.md", text)
    tables.write_text(args.summary, json.dumps(record, indent=1))


def _tracking(args: argparse.Namespace) -> Tracking:
    """The record of the training that has made the checkpoints, whose log lies beside them."""
    tracking = Tracking.from_args(args)
    log = next(args.checkpoints[0].parent.glob("*.parquet"), None)
    made_by = tables.recorded(log) if log else {}
    return tracking.of({key: value for key, value in made_by.items() if key != "table"})


def _validated(
    args: argparse.Namespace, model: ModelConfig, training: TrainingConfig, job: GenerationJob
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Judged validation rows of the base, number 0, and of each checkpoint, by one engine.

    All adapters are sampled at once where the engine can; whole models are unpacked in turn.
    """
    prompt = PromptConfig.from_json(args.prompt)
    verdicts = VerdictsConfig.from_json(args.verdicts)
    answers = reference_answers(args.problems)
    thinking = opens_thinking(prompt_end(prompt, model))
    batch = Batch(load_prompts(args.problems, model, prompt, job), job.sampling(prompt))
    numbers = range(len(args.checkpoints) + 1)
    engine = None
    for together in [[n] for n in numbers] if args.full_model else [numbers]:
        with _unpacked(args, together, model, training) as adapters:
            engine = engine or open_engine(job.engine, model, hardware(args), adapters)
            batches = [replace(batch, adapter=adapter) for adapter in adapters]
            sampled = dict(engine.generate(batches))
        for place, number in enumerate(together):
            rows = judged(sampled[place], answers, verdicts, args.threads, thinking)
            yield number, list(rows)


@contextlib.contextmanager
def _unpacked(
    args: argparse.Namespace, numbers: Sequence[int], model: ModelConfig, training: TrainingConfig
) -> Iterator[list[Path | None]]:
    """Folders of checkpoints beside the result, where a whole model fits: /tmp may be memory.

    None stands for the base, number 0. What a killed run has left is removed. Each has its own
    name, since an engine that knows a path does not read it again.
    """
    room = args.out / "checkpoints"
    shutil.rmtree(room, ignore_errors=True)
    folders = {number: room / str(number) for number in numbers if number}
    try:
        for number, folder in folders.items():
            _pack(folder, args.checkpoints[number - 1], model, training, args.full_model)
        yield [folders.get(number) for number in numbers]
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _pack(
    folder: Path, checkpoint: Path, model: ModelConfig, training: TrainingConfig, whole: bool
) -> None:
    check_weights(checkpoint, None if whole else training.rank)
    if whole:
        pack_model(folder, checkpoint, model)
    else:
        pack_adapter(folder, checkpoint, model, training)


def pack_model(folder: Path, checkpoint: Path, model: ModelConfig) -> None:
    """A model folder: the checkpoint's weights with the base's tokenizer and settings."""
    from transformers import GenerationConfig

    folder.mkdir(parents=True, exist_ok=True)
    with tables.replacing(folder / MODEL_WEIGHTS) as partial:
        shutil.copyfile(checkpoint, partial)
    settings = model_settings(model.path, model)
    settings.save_pretrained(folder)
    load_tokenizer(model).save_pretrained(folder)
    with contextlib.suppress(OSError, ValueError):  # base models often come without one
        GenerationConfig.from_pretrained(model.path, revision=model.revision).save_pretrained(
            folder
        )


def _choice(record: dict[str, Any]) -> str:
    """The figures of every checkpoint, as Markdown."""
    rows = record["checkpoints"]
    lines = [
        f"| {row['step'] or 'base'} | {row['pass_rate']:.3f} | {row['low']:.3f} to "
        f"{row['high']:.3f} | {row['parseable']:.3f} |"
        for row in rows
    ]
    chosen = record["chosen"]
    head = [
        f"Chosen on the validation problems: checkpoint {chosen} of {len(rows) - 1} "
        f"(step {rows[chosen]['step']}).\n",
        "| step | validation pass@1 | 95% interval | parseable |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *lines])
