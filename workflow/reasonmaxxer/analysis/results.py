"""An arm's samples on a benchmark as arrays, and the protocol that all arms share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .. import tables
from ..errors import UserError
from .statistics import Values, majority, pass_at_k, ratio_values

COLUMNS = [
    *("problem_id", "sample", "prompt_token_ids", "token_ids"),
    *("finish_reason", "text", "verdict", "answer", "second"),
]
# What two arms must have been sampled with alike; where a stage recorded it, it is compared.
PROTOCOL = ("temperature", "top_p", "max_tokens", "engine")
AGAIN = "evaluate again, with the run's --configfile: snakemake --cores all -R evaluation"
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """One arm on one benchmark: arrays are [problems, samples], problems in order of their id."""

    problem_ids: list[str]
    prompts: list[tuple[int, ...]]
    own_prompt: bool
    settings: dict[str, Any]
    correct: Flags
    parsed: Flags
    timeout: Flags
    truncated: Flags
    boxed: Flags
    asked: Flags  # whether math-verify was asked for a second opinion, and what it was
    seconded: Flags
    lengths: NDArray[np.int64]
    answers: list[list[str | None]]

    @property
    def problems(self) -> int:
        return self.correct.shape[0]

    @property
    def samples(self) -> int:
        return self.correct.shape[1]

    @property
    def largest_k(self) -> int:
        """Half the samples: beyond it the estimate of pass@k rests on few independent draws."""
        return max(1, self.samples // 2)


def load_scores(
    paths: Sequence[str | Path], arm: str, benchmark: str, samples: int, own_prompt: bool = False
) -> Scores:
    """Read an arm's evaluation shards. Raises `UserError` unless every problem has all samples."""
    where = f"{paths[0]}: arm '{arm}', benchmark '{benchmark}'"
    table = tables.read_all(paths, "evaluation", COLUMNS, samples)
    table = table.sort_by([("problem_id", "ascending"), ("sample", "ascending")])
    ids = table["problem_id"].to_pylist()
    drawn = table["sample"].to_numpy()
    problems = ids[::samples]
    complete = (
        len(ids) == len(problems) * samples
        and ids == [name for name in problems for _ in range(samples)]
        and np.array_equal(drawn, np.tile(np.arange(samples), len(problems)))
    )
    if not complete or not ids:
        raise UserError(
            f"{where}: expected samples 0 to {samples - 1} of every problem, found {len(ids)} rows "
            f"of {len(set(ids))} problems; {AGAIN}"
        )
    return Scores(
        problem_ids=problems,
        prompts=[tuple(ids) for ids in table["prompt_token_ids"][::samples].to_pylist()],
        own_prompt=own_prompt,
        settings=_settings(paths, where),
        answers=np.array(table["answer"].to_pylist(), dtype=object).reshape(-1, samples).tolist(),
        **{name: column.reshape(-1, samples) for name, column in _columns(table).items()},
    )


def _columns(table: pa.Table) -> dict[str, Any]:
    verdict = table["verdict"]
    return {
        "correct": pc.equal(verdict, "correct").to_numpy(),
        "parsed": pc.not_equal(verdict, "unparseable").to_numpy(),
        "timeout": pc.equal(verdict, "timeout").to_numpy(),
        "truncated": pc.equal(table["finish_reason"], "length").to_numpy(),
        "asked": pc.is_valid(table["second"]).to_numpy(),
        "seconded": pc.fill_null(pc.equal(table["second"], "correct"), False).to_numpy(),
        "boxed": pc.match_substring(table["text"], "\\boxed").to_numpy(),
        "lengths": pc.list_value_length(table["token_ids"]).to_numpy().astype(np.int64),
    }


def _settings(paths: Sequence[str | Path], where: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for path in paths:
        config = tables.provenance_of(path, "evaluation").get("config", {})
        found.append({key: config[key] for key in PROTOCOL if key in config})
    together = {key: value for settings in found for key, value in settings.items()}
    if not all(_alike(settings, together) for settings in found):
        raise UserError(
            f"{where}: its shards were sampled under different settings ({found}); {AGAIN}"
        )
    return together


def _alike(settings: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both agree in what both have recorded."""
    return all(settings[key] == other[key] for key in settings.keys() & other.keys())


def check_protocol(benchmark: str, arms: Mapping[str, Scores]) -> None:
    """Raise `UserError` unless all arms saw the same problems, prompts, samples and settings.

    An arm shown under its own prompt is held to all but the prompts.
    """
    names = sorted(arms, key=lambda name: arms[name].own_prompt)
    first = arms[names[0]]
    for name in names[1:]:
        other = arms[name]
        same = {
            "problems": first.problem_ids == other.problem_ids,
            "samples": first.samples == other.samples,
            "prompts": other.own_prompt or first.prompts == other.prompts,
            "settings": _alike(first.settings, other.settings),
        }
        if not all(same.values()):
            differs = next(what for what, alike in same.items() if not alike)
            raise UserError(
                f"benchmark '{benchmark}': arms '{names[0]}' and '{name}' were evaluated with "
                f"different {differs}, so they cannot be compared in one table; {AGAIN}"
            )


# --- metrics ----------------------------------------------------------------------------------


def metric_values(scores: Scores) -> dict[str, Values]:
    """One value a problem for every metric; the mean over problems is the metric.

    accuracy (avg@samples), pass@k, maj@samples, accuracy-parsed (of completions with an answer),
    accuracy-second (where plain math-verify was asked, as it says), disagreement (the share where
    it says otherwise), boxed, truncated, unparseable, timeout (shares), length (tokens).
    """
    found = {"accuracy": scores.correct.mean(axis=1)}
    counts = scores.correct.sum(axis=1)
    for k in powers(scores.largest_k):
        found[f"pass@{k}"] = pass_at_k(counts, scores.samples, k)
    if scores.samples > 2:
        found[f"maj@{scores.samples}"] = np.array(
            [majority(a, c) for a, c in zip(scores.answers, scores.correct.tolist(), strict=True)]
        )
    parsed = scores.parsed.sum(axis=1).astype(np.float64)
    found["accuracy-parsed"] = ratio_values(counts.astype(np.float64), parsed)
    second = np.where(scores.asked, scores.seconded, scores.correct)
    found["accuracy-second"] = second.mean(axis=1)
    found["disagreement"] = (second != scores.correct).mean(axis=1)
    found["boxed"] = scores.boxed.mean(axis=1)
    found["truncated"] = scores.truncated.mean(axis=1)
    found["unparseable"] = 1.0 - scores.parsed.mean(axis=1)
    found["timeout"] = scores.timeout.mean(axis=1)
    found["length"] = scores.lengths.mean(axis=1)
    return found


def powers(largest: int) -> list[int]:
    """2, 4, 8, ... up to `largest`, which is included."""
    steps = [2**i for i in range(1, 32) if 2**i <= largest]
    return steps if largest < 2 or largest in steps else [*steps, largest]
