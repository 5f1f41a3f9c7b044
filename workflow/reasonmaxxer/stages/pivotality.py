"""Command `continuations`: what comes of each of the likeliest tokens at single positions.

Positions are drawn from the base's own rollouts on problems that it solves sometimes, half of
them above the threshold and half below. At each, the text so far is kept, one of the base's
likeliest tokens is put behind it, and the base completes the rest several times.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import tables
from ..config import ModelConfig, PivotalityConfig, PromptConfig
from ..errors import UserError
from ..generation.engine import Engine, Prompt, base_completions, open_engine
from ..generation.prompts import (
    decode,
    eos_token_ids,
    load_tokenizer,
    prompt_end,
    stop_ids,
    trim_stop,
)
from ..tables.provenance import provenance
from .rollouts import GenerationJob, add_hardware_arguments, hardware

HELP = "continue the base's rollouts from the likeliest tokens of a sample of positions"

ENTROPY_COLUMNS = ["problem_id", "sample", "position", "entropy", "top_ids", "top_logprobs"]
Key = tuple[str, int]


class ContinuationsJob(GenerationJob, PivotalityConfig):
    """How positions are drawn and continued; `max_tokens` is that of a whole completion."""

    tau: float
    rollouts: int | None = None  # of each problem, the first ones; None: all


@dataclass(frozen=True)
class Branch:
    """A position with one of the base's likeliest tokens behind the text before it."""

    row: dict[str, Any]  # the columns of `tables._ALTERNATIVE`
    prompt_ids: list[int]
    text_ids: list[int]  # of the completion, the alternative's token included


def mixed_problems(verdicts: Sequence[Path], rollouts: int | None = None) -> set[str]:
    """Problems with right and wrong ones among their first `rollouts` (None: among all)."""
    right: dict[str, set[bool]] = {}
    for path in verdicts:
        for row in tables.rows(path, "verdicts", ["problem_id", "sample", "verdict"], rollouts):
            right.setdefault(row["problem_id"], set()).add(row["verdict"] == "correct")
    return {problem for problem, outcomes in right.items() if len(outcomes) == 2}


def sample_positions(
    entropies: Sequence[Path],
    problems: set[str],
    tau: float,
    count: int,
    seed: int,
    rollouts: int | None = None,
) -> list[dict[str, Any]]:
    """Draw positions of the base's rollouts, half with an entropy above tau and half not.

    Args:
        entropies: tables of entropies, shard by shard.
        problems: those whose positions may be drawn.
        tau: threshold in nats.
        count: how many positions; a stratum with fewer than its half gives all it has.
        seed: of the draws.
        rollouts: how many of each problem to draw from, the first ones; None: all.

    Returns:
        Rows with `ENTROPY_COLUMNS`, `gated` (above tau), and `weight`, the positions it stands for.

    Raises:
        UserError: if one of the strata has no position.
    """
    wanted = pa.array(sorted(problems), pa.string())
    parts = []
    for path in entropies:
        for batch in tables.iter_batches(path, "entropies", ENTROPY_COLUMNS, rollouts):
            parts.append(batch.filter(pc.is_in(batch["problem_id"], value_set=wanted)))
    table = pa.concat_tables(parts)
    gated = table["entropy"].to_numpy() > tau
    rng = np.random.default_rng(seed)
    found = []
    for inside in (True, False):
        stratum = np.flatnonzero(gated == inside)
        if not len(stratum):
            side = "above" if inside else "below"
            raise UserError(f"footprint.tau: {tau}: no position has an entropy {side} it")
        drawn = np.sort(rng.choice(stratum, min(count // 2, len(stratum)), replace=False))
        weight = len(stratum) / len(drawn)
        rows = table.take(pa.array(drawn)).to_pylist()
        found += [{**row, "gated": inside, "weight": weight} for row in rows]
    return found


def branches(
    positions: Sequence[Mapping[str, Any]],
    rollouts: Mapping[Key, Mapping[str, Any]],
    alternatives: int,
) -> list[Branch]:
    """Each position with each of its likeliest tokens.

    Args:
        positions: as `sample_positions` gives them, entropies and log-probs in nats.
        rollouts: rows of the rollouts that they lie in, by problem and sample.
        alternatives: how many of the likeliest tokens.

    Returns:
        Position by position, the likeliest token first.
    """
    keys = ("problem_id", "sample", "position", "entropy", "gated", "weight")
    found = []
    for row in positions:
        rollout = rollouts[row["problem_id"], row["sample"]]
        before = rollout["token_ids"][: row["position"]]
        likeliest = zip(row["top_ids"], row["top_logprobs"], strict=True)
        for rank, (token, logprob) in enumerate(list(likeliest)[:alternatives], start=1):
            place = {key: row[key] for key in keys}
            place |= {"rank": rank, "token_id": token, "logprob": logprob}
            found.append(Branch(place, rollout["prompt_token_ids"], [*before, token]))
    return found


def continued(
    engine: Engine,
    found: Sequence[Branch],
    job: ContinuationsJob,
    prompt: PromptConfig,
    ends: set[int],
    tokenizer: Any,
    max_length: int,
) -> Iterator[dict[str, Any]]:
    """Sample on from every branch.

    A text that its alternative ends, or brings to the limit, is complete as it stands and is
    counted once.

    Args:
        engine: runs the base.
        found: the branches.
        job: how many continuations, and how they are sampled; `max_tokens` is that of a whole
            completion.
        prompt: its stop strings end a text.
        ends: ids that end a text.
        tokenizer: decodes the texts.
        max_length: most tokens of prompt and completion.

    Returns:
        Rows of the table `continuations`.
    """
    stops = list(prompt.stop)
    rooms = [min(job.max_tokens, max_length - len(b.prompt_ids)) - len(b.text_ids) for b in found]
    over = [b for b, room in zip(found, rooms, strict=True) if b.text_ids[-1] in ends or room <= 0]
    for branch in over:
        yield {
            **branch.row,
            **{"continuation": 0, "text": trim_stop(branch.text_ids, tokenizer, stops)[1]},
            "finish_reason": "stop" if branch.text_ids[-1] in ends else "length",
        }
    complete = {id(branch) for branch in over}
    open_ = {str(n): b for n, b in enumerate(found) if id(b) not in complete}
    prompts = [
        Prompt(name, b.prompt_ids + b.text_ids, rooms[int(name)]) for name, b in open_.items()
    ]
    sampling = job.model_copy(update={"samples": job.continuations}).sampling(prompt)
    for row in base_completions(engine, prompts, sampling):
        yield {
            **open_[row["problem_id"]].row,
            **{"continuation": row["sample"], "finish_reason": row["finish_reason"]},
            "text": _whole(open_[row["problem_id"]], row, stops, tokenizer),
        }


def _whole(branch: Branch, row: Mapping[str, Any], stops: list[str], tokenizer: Any) -> str:
    """The completion from its first token; a stop string may have begun before the branch."""
    ids = [*branch.text_ids, *row["token_ids"]]
    return trim_stop(ids, tokenizer, stops)[1] if stops else decode(ids, tokenizer)


# --- the command ------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name in ("rollouts", "verdicts", "entropies"):
        parser.add_argument(
            f"--{name}", required=True, nargs="+", type=Path, help=f"the {name}, shard by shard"
        )
    parser.add_argument("--model-config", required=True, help="config section `model`, as JSON")
    parser.add_argument("--prompt", required=True, help="config section `prompt`, as JSON")
    parser.add_argument("--job", required=True, help="what to draw and to sample, as JSON")
    add_hardware_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, help="table `continuations` to write")


def main(args: argparse.Namespace) -> None:
    job = ContinuationsJob.from_json(args.job)
    model = ModelConfig.from_json(args.model_config)
    prompt = PromptConfig.from_json(args.prompt)
    inputs = [*args.rollouts, *args.verdicts, *args.entropies]
    made_by = provenance("pivotality", job.model_dump(mode="json"), inputs, job.seed)
    mixed = mixed_problems(args.verdicts, job.rollouts)
    positions = sample_positions(
        args.entropies, mixed, job.tau, job.positions, job.seed, job.rollouts
    )
    rollouts = _rollouts_of(
        args.rollouts, {(row["problem_id"], row["sample"]) for row in positions}
    )
    found = branches(positions, rollouts, job.alternatives)
    tokenizer = load_tokenizer(model)
    ends = {*eos_token_ids(model, tokenizer), *stop_ids(prompt, tokenizer)[0]}
    made_by["prompt_end"] = prompt_end(prompt, model)
    engine = open_engine(job.engine, model, hardware(args))
    rows = continued(engine, found, job, prompt, ends, tokenizer, model.max_length)
    tables.write(args.out, "continuations", rows, made_by)


def _rollouts_of(paths: Sequence[Path], keys: set[Key]) -> dict[Key, dict[str, Any]]:
    columns = ["problem_id", "sample", "prompt_token_ids", "token_ids"]
    return {
        key: row
        for path in paths
        for row in tables.rows(path, "rollouts", columns)
        if (key := (row["problem_id"], row["sample"])) in keys
    }
