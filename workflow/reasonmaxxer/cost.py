"""What each arm cost to make: seconds, tokens and floating-point operations, and how far they go.

Every stage that an arm needs counts once, shared or its own, with the choice of its checkpoint and
the sweeps of its own settings; the evaluation on the benchmarks does not count. Seconds are those
of the jobs as they ran, so arms compare where their jobs had the same machine and threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from . import flops, tables
from .arms import is_rl, main_of, sweeps, without
from .config import ModelConfig
from .errors import UserError
from .model import model_settings
from .readers import read_json
from .report.timings import Job, arm_seconds
from .shape import Shape
from .statistics import Estimate

# Settings that a user of the method sweeps to choose them; other sweeps are ablations.
SWEPT = ("tau", "share", "learning_rate")

Row = dict[str, Any]
Manifest = Mapping[str, Any]


def cost_rows(manifest: Manifest, jobs: Sequence[Job]) -> list[Row]:
    """A row for each arm that is made here, in the manifest's order.

    `seconds` are of the arm with its shared stages, `sweep_seconds` what sweeps of its settings
    add; None without timings. `rl_seconds` is what the RL arm had taken in training when it was
    first as good on the validation problems, None where it never was.
    """
    arms = manifest["arms"]
    weights = computing_parameters(manifest)
    pool = pool_tokens(manifest)
    rl = next((arm for arm in arms.values() if arm.get("grpo")), None)
    rows = []
    for name, arm in arms.items():
        if not (arm.get("choice") or arm.get("distillation")):
            continue
        spent = _spent(arm, arms, pool, weights)
        swept = [a for key in SWEPT for a in sweeps(arms).get((name, key), {}).values()]
        own = [arm_seconds(jobs, other, arms, shared=False) or 0.0 for other in swept]
        rows.append(
            {
                "arm": name,
                "seconds": arm_seconds(jobs, name, arms),
                "sweep_seconds": sum(own),
                "generated_tokens": spent.generated,
                "trained_tokens": spent.trained,
                "flops": None if weights is None else spent.flops,
                "rl_seconds": None if rl is None or arm is rl else _seconds_to_match(rl, arm),
            }
        )
    return rows


def cost_ratio(manifest: Manifest, rows: Iterable[Row]) -> Estimate | None:
    """The main arm's seconds over the RL arm's, sweeps included; the interval spans the seeds."""
    arms = manifest["arms"]
    main = main_of(arms)
    seconds: dict[str, list[float]] = {"main": [], "rl": []}
    for row in rows:
        stem = without(row["arm"], "seed")
        if row["seconds"] is None:
            continue
        if stem == main:
            seconds["main"].append(row["seconds"])
        elif arms[row["arm"]].get("grpo") and is_rl(stem, arms[row["arm"]]) and "+" not in stem:
            seconds["rl"].append(row["seconds"])
    if not seconds["main"] or not seconds["rl"]:
        return None
    sweep = next(row["sweep_seconds"] for row in rows if row["arm"] == main)
    ratios = [(ours + sweep) / theirs for ours in seconds["main"] for theirs in seconds["rl"]]
    return Estimate(sum(ratios) / len(ratios), min(ratios), max(ratios))


@dataclass(frozen=True)
class Spent:
    """Completion tokens sampled, tokens trained on, and operations of both and of scoring."""

    generated: int
    trained: int
    flops: float

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.generated + other.generated,
            self.trained + other.trained,
            self.flops + other.flops,
        )


def _spent(
    arm: Mapping[str, Any],
    arms: Mapping[str, Mapping[str, Any]],
    pool: Mapping[str, int],
    weights: int | None,
) -> Spent:
    each = weights or 0
    if arm.get("distillation"):
        teacher = arms[arm["teacher"]]
        before = _spent(teacher, arms, pool, weights) if teacher.get("choice") else Spent(0, 0, 0)
        return before + _distilled(arm, each)
    chosen = _validation_tokens(arm)
    choice = Spent(chosen, 0, flops.forward(each, chosen))
    return choice + (_grpo(arm) if arm.get("grpo") else _offline(arm, pool, each))


def _grpo(arm: Mapping[str, Any]) -> Spent:
    log = tables.read(arm["grpo"], "grpo")
    names = ("generated_tokens", "trained_tokens", "flops")
    return Spent(*(pc.sum(log[name]).as_py() or 0 for name in names))


def _offline(arm: Mapping[str, Any], pool: Mapping[str, int], weights: int) -> Spent:
    """Rollouts, their scores, and training with the frozen base beside it."""
    trained = _trained_tokens(arm)
    operations = flops.training(weights, trained, whole=False) + flops.forward(weights, trained)
    operations += flops.forward(weights, pool["sampled"] + pool["scored"])
    return Spent(pool["generated"], trained, operations)


def _distilled(arm: Mapping[str, Any], weights: int) -> Spent:
    """The teacher's rollouts, sampled and scored, and training without the base beside it."""
    record = read_json(arm["distillation"], "generated_tokens")
    generated, trained = record["generated_tokens"], _trained_tokens(arm)
    operations = flops.training(weights, trained, whole=False)
    return Spent(generated, trained, operations + 2 * flops.forward(weights, generated))


def _trained_tokens(arm: Mapping[str, Any]) -> int:
    log = tables.read(arm["training"], "training", ["tokens"])
    return int(pc.sum(log["tokens"]).as_py() or 0)


def pool_tokens(manifest: Manifest) -> dict[str, int]:
    """Tokens of the shared rollouts: generated; sampled, with each prompt once; scored."""
    found = dict.fromkeys(("generated", "sampled", "scored"), 0)
    for path in manifest.get("rollouts", []):
        columns = ["sample", "prompt_token_ids", "token_ids"]
        for batch in tables.iter_batches(path, "rollouts", columns):
            prompts, completions = (pc.list_value_length(batch[name]) for name in columns[1:])
            first = pc.equal(batch["sample"], pc.min(batch["sample"]))
            generated = pc.sum(completions).as_py() or 0
            found["generated"] += generated
            found["sampled"] += generated + (pc.sum(prompts.filter(first)).as_py() or 0)
            found["scored"] += generated + (pc.sum(prompts).as_py() or 0)
    return found


def _validation_tokens(arm: Mapping[str, Any]) -> int:
    """Completion tokens of the checkpoint choice, the base's included."""
    if not arm.get("validation"):
        return 0
    table: pa.Table = tables.read(arm["validation"], "validation", ["token_ids"])
    return int(pc.sum(pc.list_value_length(table["token_ids"])).as_py() or 0)


def _seconds_to_match(rl: Mapping[str, Any], arm: Mapping[str, Any]) -> float | None:
    """Seconds of RL's training up to its first checkpoint that is as good as the arm."""
    if not arm.get("choice"):
        return None
    theirs, ours = (read_json(a["choice"], "chosen", "checkpoints") for a in (rl, arm))
    wanted = ours["checkpoints"][ours["chosen"]]["pass_rate"]
    good = [row["step"] for row in theirs["checkpoints"] if row["pass_rate"] >= wanted]
    if not good:
        return None
    log = tables.read(rl["grpo"], "grpo", ["step", "seconds"]).to_pydict()
    steps = zip(log["step"], log["seconds"], strict=True)
    return float(sum(seconds for step, seconds in steps if step <= min(good)))


def computing_parameters(manifest: Manifest) -> int | None:
    """Weights that a token of the base is multiplied with; None of an unknown architecture."""
    model = manifest["model"]
    given = ModelConfig(path=model["path"], revision=model.get("revision"))
    try:
        shape = Shape.of(model_settings(given.path, given))
    except UserError:
        return None
    if shape is None:
        return None
    return shape.parameters - (0 if shape.tied else shape.vocabulary * shape.hidden)
