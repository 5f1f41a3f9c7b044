"""What each arm cost to make: seconds, tokens and floating-point operations, and how far they go.

Every job that an arm needs counts once, shared or its own, with the choice of its checkpoint; what
the run tried beside it, sweeps of its settings, is counted apart. The evaluation on the benchmarks
does not count. Seconds are those of processors, or of GPUs where the run used any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import reduce
from operator import add
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .. import tables
from ..config import ModelConfig
from ..errors import UserError
from ..method.kinds import KINDS
from ..modeling import flops
from ..modeling.base_model import model_settings
from ..modeling.dimensions import Dimensions
from ..tables.artefacts import read_json
from .arms import differing, main_of, seeds_of
from .statistics import Estimate
from .timings import Job, unit_of

# Settings that a user of a method tries to choose them; arms that change others are ablations.
SWEPT = {
    *(
        "selection.tau",
        "selection.top_fraction",
        "selection.entropy_share",
        "training.learning_rate",
    ),
    *("training.anchor_weight", "training.probability_floor", "training.sequences"),
    *("grpo.learning_rate", "distillation.learning_rate"),
}

Row = dict[str, Any]
Manifest = Mapping[str, Any]
Seconds = Mapping[tuple[str, str], float]  # by rule and name of a job
CHOICES = {"choose_checkpoint", "choose_whole_checkpoint"}
GRPO_ENGINE = "transformers"  # that TRL's trainer samples with


def cost_rows(manifest: Manifest, jobs: Sequence[Job], rl: str | None) -> list[Row]:
    """A row for each arm that is made here, in the manifest's order.

    `seconds` are of the arm with its shared stages, `sweep_seconds` what the run's other settings
    of it add; None without timings of every job. `flops` and `sweep_flops` are the same in
    floating-point operations. `reached` has the seconds that were spent up to each checkpoint, and
    `rl_seconds` those of the RL arm `rl` up to its first one that was as good on the validation
    problems, None where none was.
    """
    arms = manifest["arms"]
    yardstick = arms[rl] if rl is not None and arms[rl].get("grpo") else None
    weights = base_weights(manifest)
    kept = bool(manifest["config"].get("entropies", {}).get("cache_hidden_states"))
    pools: dict[tuple[str, ...], Pool] = {}
    timed = _timed(arms, jobs)
    reached = {name: _reached(name, arm, timed) for name, arm in arms.items()}
    rows = []
    for name, arm in arms.items():
        if not arm["jobs"]:
            continue
        parts = _parts(name, arms, weights or 0, kept, pools)
        spent = reduce(add, parts.values())
        own = _jobs(arm)
        others = _tried(arms, name)
        tried = {job for other in others for job in _jobs(arms[other])} - own
        swept = {
            part: work.flops
            for other in others
            for part, work in _parts(other, arms, weights or 0, kept, pools).items()
            if part not in parts
        }
        rows.append(
            {
                "arm": name,
                "seconds": _sum(own, timed),
                "sweep_seconds": _sum(tried, timed),
                "generated_tokens": spent.generated,
                "trained_tokens": spent.trained,
                "flops": None if weights is None else spent.flops,
                "sweep_flops": None if weights is None else sum(swept.values()),
                "reached": reached[name],
                "rl_seconds": None
                if yardstick is None or arm is yardstick
                else _seconds_to_match(yardstick, reached[str(rl)], arm),
            }
        )
    return rows


def cost_ratio(manifest: Manifest, rows: Iterable[Row], rl: str | None) -> Estimate | None:
    """The main arm's cost over the RL arm's, sweeps included; the interval spans the seeds.

    The cost is in seconds, or in floating-point operations where the two are sampled by different
    engines: a second of the slower one says nothing of the methods. None where it is not known of
    both, and for a public checkpoint, whose cost nobody measured.
    """
    arms = manifest["arms"]
    main = main_of(arms)
    if main is None or rl is None or not arms[rl]["jobs"]:
        return None
    found = {row["arm"]: row for row in rows}
    ours, theirs = ([found[arm] for arm in seeds_of(arms, name)] for name in (main, rl))
    alike = manifest["config"].get("engine", GRPO_ENGINE) == GRPO_ENGINE
    cost, sweep = ("seconds", "sweep_seconds") if alike else ("flops", "sweep_flops")
    if any(row[key] is None for row in ours + theirs for key in (cost, sweep)):
        return None
    sweeps = found[main][sweep], found[rl][sweep]
    ratios = [
        (one[cost] + sweeps[0]) / (other[cost] + sweeps[1]) for one in ours for other in theirs
    ]
    return Estimate(sum(ratios) / len(ratios), min(ratios), max(ratios))


def _timed(arms: Mapping[str, Mapping[str, Any]], jobs: Iterable[Job]) -> Seconds:
    """What each job spent. Of a training that was killed, all tries, not the last alone."""
    jobs = list(jobs)
    unit = unit_of(jobs)
    walls = {(job.rule, job.name): job.seconds for job in jobs}
    found = {(job.rule, job.name): s for job in jobs if (s := job.cost(unit)) is not None}
    for name, arm in arms.items():
        job = _training_job(name, arm)
        if found.get(job) and walls[job]:
            found[job] *= max(1.0, sum(_step_seconds(arm)) / walls[job])
    return found


def _jobs(arm: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(rule, name) for rule, names in arm["jobs"].items() for name in names}


def _sum(jobs: Iterable[tuple[str, str]], timed: Seconds) -> float | None:
    wanted = list(jobs)
    return sum(timed[job] for job in wanted) if timed.keys() >= {*wanted} else None


def _tried(arms: Mapping[str, Mapping[str, Any]], name: str) -> list[str]:
    """Arms that differ from the named one in settings that are tried to choose them alone."""
    return [
        other
        for other, arm in arms.items()
        if arm["kind"] == arms[name]["kind"] and set() < differing(arm, arms[name]) <= SWEPT
    ]


def _training_job(name: str, arm: Mapping[str, Any]) -> tuple[str, str]:
    return KINDS[arm["kind"]].rule or "", name


def _step_seconds(arm: Mapping[str, Any]) -> list[float]:
    """Each training step's wall-clock seconds, which those of a killed try are among."""
    if arm.get("grpo"):
        return list(tables.read(arm["grpo"], "grpo", ["seconds"])["seconds"].to_pylist())
    if not arm.get("training"):
        return []
    log = tables.read(arm["training"], "training", ["tokens", "tokens_per_second"])
    steps = pc.divide(pc.cast(log["tokens"], pa.float64()), log["tokens_per_second"])
    return [seconds or 0.0 for seconds in steps.to_pylist()]


def _reached(name: str, arm: Mapping[str, Any], timed: Seconds) -> list[float] | None:
    """Seconds spent up to each checkpoint, the base's 0 first: rollouts and scores, then steps.

    Without the choice of the checkpoint. None where a job was not timed or nothing is chosen.
    """
    job = _training_job(name, arm)
    before = {other for other in _jobs(arm) if other[0] not in CHOICES} - {job}
    made, trained, steps = _sum(before, timed), timed.get(job), _step_seconds(arm)
    if not arm.get("checkpoint") or made is None or trained is None or not sum(steps):
        return None
    _, *rows = read_json(arm["checkpoint"], "checkpoints")["checkpoints"]
    shares = [sum(steps[: row["step"]]) / sum(steps) for row in rows]
    return [0.0, *(made + trained * share for share in shares)]


@dataclass(frozen=True)
class Spent:
    """Completion tokens sampled, tokens trained on, and operations of both and of scoring."""

    generated: int
    trained: int
    flops: float

    def __add__(self, other: Spent) -> Spent:
        return Spent(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Pool:
    """Tokens of some rollouts: generated; sampled, with each prompt once; scored."""

    generated: int = 0
    sampled: int = 0
    scored: int = 0


def _parts(
    name: str,
    arms: Mapping[str, Mapping[str, Any]],
    weights: int,
    kept: bool,
    pools: dict[tuple[str, ...], Pool],
) -> dict[Any, Spent]:
    """What an arm needs, by what arms may share: rollouts by their files, all else by its arm.

    `kept`: the base's states come from the scorer; `pools` remembers what was counted.
    """
    arm = arms[name]
    if arm.get("grpo"):
        return {name: _grpo(arm) + _choice(arm, weights)}
    paths = tuple(arm["rollouts"])
    if paths not in pools:
        pools[paths] = pool_tokens(paths)
    pool = pools[paths]
    sampled = Spent(pool.generated, 0, flops.forward(weights, pool.sampled + pool.scored))
    parts = {paths: sampled, name: _training(arm, weights)}
    if arm.get("distillation"):
        teacher = arm["teacher"]
        made = bool(arms[teacher]["jobs"])  # in this run
        return parts | (_parts(teacher, arms, weights, kept, pools) if made else {})
    beside = Spent(0, 0, 0 if kept else flops.forward(weights, parts[name].trained))
    return parts | {name: parts[name] + beside + _choice(arm, weights)}


def _grpo(arm: Mapping[str, Any]) -> Spent:
    names = ("generated_tokens", "trained_tokens", "flops")
    return Spent(*(total_of(arm["grpo"], "grpo", name) for name in names))


def _training(arm: Mapping[str, Any], weights: int) -> Spent:
    """A LoRA trained, if the arm's kind logs training."""
    trained = total_of(arm["training"], "training", "tokens") if arm["training"] else 0
    return Spent(0, trained, flops.training(weights, trained, whole=False))


def total_of(path: str, table: str, column: str) -> Any:
    """The sum of a column of a log."""
    return pc.sum(tables.read(path, table, [column])[column]).as_py() or 0


def _choice(arm: Mapping[str, Any], weights: int) -> Spent:
    """The validation problems under each checkpoint, the base included; a prompt is read once."""
    if not arm.get("validation"):
        return Spent(0, 0, 0)
    pool = pool_tokens([arm["validation"]], "validation")
    return Spent(pool.generated, 0, flops.forward(weights, pool.sampled))


def pool_tokens(paths: Iterable[str], table: str = "rollouts") -> Pool:
    """Tokens of the completions in some tables of rollouts or of the checkpoint choice."""
    generated = sampled = scored = 0
    for path in paths:
        columns = ["sample", "prompt_token_ids", "token_ids"]
        for batch in tables.iter_batches(path, table, columns):
            prompts, completions = (pc.list_value_length(batch[name]) for name in columns[1:])
            first = pc.equal(batch["sample"], pc.min(batch["sample"]))
            own = pc.sum(completions).as_py() or 0
            generated += own
            sampled += own + (pc.sum(prompts.filter(first)).as_py() or 0)
            scored += own + (pc.sum(prompts).as_py() or 0)
    return Pool(generated, sampled, scored)


def _seconds_to_match(
    rl: Mapping[str, Any], reached: Sequence[float] | None, arm: Mapping[str, Any]
) -> float | None:
    """What RL had spent when it reached its first checkpoint that is as good as the arm."""
    if not arm.get("checkpoint") or reached is None:
        return None
    theirs, ours = (read_json(a["checkpoint"], "chosen", "checkpoints") for a in (rl, arm))
    wanted = ours["checkpoints"][ours["chosen"]]["pass_rate"]
    pairs = zip(theirs["checkpoints"], reached, strict=True)
    return next((spent for row, spent in pairs if row["pass_rate"] >= wanted), None)


def base_weights(manifest: Manifest) -> int | None:
    """Weights that a token of the base is multiplied with; None of an unknown architecture."""
    model = manifest["model"]
    given = ModelConfig(path=model["path"], revision=model.get("revision"))
    try:
        shape = Dimensions.of(model_settings(given.path, given))
    except UserError:
        return None
    return None if shape is None else shape.computing_parameters
