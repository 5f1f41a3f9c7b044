"""Completions to read in the page, token by token: rollouts of the base, and pairs of two arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import tables
from .arms import base_of, main_of
from .pairs import choose_pairs
from .results import Scores

PROBLEMS = 20  # of the pool, two rollouts each
TOKENS = 600  # shown of a completion
TEXT = 4_000  # characters shown of a problem
SURE = 0.02  # nats; below it a position's alternatives are not worth their space

Manifest = Mapping[str, Any]
Key = tuple[str, int]


# --- rollouts of the base ---------------------------------------------------------------------


def collect_rollouts(
    manifest: Manifest, threshold: float | None, tokens: TokenTexts
) -> list[dict[str, Any]]:
    """A right and a wrong rollout of problems that the base solves sometimes, near half first.

    Each has the text of its tokens, their entropies (nats), whether they were gated, and the
    likeliest tokens with probabilities where the base was not sure.
    """
    if not (manifest.get("rollouts") and manifest.get("entropies") and manifest.get("verdicts")):
        return []
    selection = _selection(manifest)
    verdicts = _verdicts(manifest)
    keys = _chosen(verdicts, selection)
    rows = _rows_of(manifest["rollouts"], "rollouts", keys)
    scored = _entropies(manifest, keys)
    problems = _problems(manifest, "train", {problem for problem, _ in keys})
    found = []
    for problem, sample in keys:
        row, scores = rows.get((problem, sample)), scored.get((problem, sample))
        if row is None or scores is None:
            continue
        trained = selection.get((problem, sample))
        shown = row["token_ids"][:TOKENS]
        entropy = scores["entropy"][: len(shown)]
        gated = (
            [position for position in trained["positions"] if position < len(shown)]
            if trained
            else np.flatnonzero(entropy > (np.inf if threshold is None else threshold)).tolist()
        )
        found.append(
            {
                **_head(problems, problem, sample, verdicts[problem, sample]),
                "advantage": trained["advantage"] if trained else None,
                "tokens": tokens.pieces(shown),
                "length": len(row["token_ids"]),
                "entropy": [round(float(value), 3) for value in entropy],
                "gated": gated,
                "alternatives": _alternatives(tokens, scores, len(shown)),
            }
        )
    return found


def _chosen(verdicts: Mapping[Key, dict[str, Any]], selection: Mapping[Key, Any]) -> list[Key]:
    """Right and wrong rollouts, in turn, of mixed problems; those that trained first."""
    groups: dict[str, dict[bool, list[Key]]] = {}
    for key in sorted(verdicts):
        right = verdicts[key]["verdict"] == "correct"
        groups.setdefault(key[0], {True: [], False: []})[right].append(key)

    def rank(problem: str) -> tuple[bool, float, str]:
        right, wrong = (len(groups[problem][which]) for which in (True, False))
        trained = any(key in selection for keys in groups[problem].values() for key in keys)
        return not trained, abs(right / (right + wrong) - 0.5), problem

    mixed = [name for name, group in groups.items() if group[True] and group[False]]
    ordered = sorted(mixed, key=rank)[:PROBLEMS] or sorted(groups)[:PROBLEMS]
    return [
        next((key for key in group if key in selection), group[0])
        for name in ordered
        for group in (groups[name][True], groups[name][False])
        if group
    ]


def _alternatives(
    tokens: TokenTexts, scores: Mapping[str, Any], shown: int
) -> dict[int, list[tuple[str, float]]]:
    return {
        position: [
            (tokens.alone(token), round(float(np.exp(logprob)), 4))
            for token, logprob in zip(
                scores["top_ids"][position], scores["top_logprobs"][position], strict=True
            )
        ]
        for position in range(min(shown, len(scores["entropy"])))
        if scores["entropy"][position] >= SURE
    }


def _entropies(manifest: Manifest, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    columns = ["problem_id", "sample", "position", "entropy", "top_ids", "top_logprobs"]
    found: dict[Key, list[dict[str, Any]]] = {key: [] for key in keys}
    for path in manifest["entropies"]:
        for batch in tables.iter_batches(path, "entropies", columns):
            batch = batch.filter(pc.less(batch["position"], TOKENS))
            for row in _filtered(batch, keys).to_pylist():
                found[row["problem_id"], row["sample"]].append(row)
    return {
        key: {
            "entropy": np.array([row["entropy"] for row in rows]),
            "top_ids": [row["top_ids"] for row in rows],
            "top_logprobs": [row["top_logprobs"] for row in rows],
        }
        for key, rows in found.items()
        if rows
    }


# --- base and trained arm on the same problem --------------------------------------------------


def collect_pairs(
    manifest: Manifest,
    suite: Mapping[str, Mapping[str, Scores]],
    threshold: float | None,
    tokens: TokenTexts,
) -> list[dict[str, Any]]:
    """First samples of base and main arm on the same problems, all four outcomes among them.

    Where the run read them under both models, a token carries the base's entropy, and the base's
    likeliest tokens the probabilities of both.
    """
    base, main = base_of(manifest["arms"]), main_of(manifest["arms"])
    pairs = choose_pairs(suite, base, main)
    seen = _side_by_side(manifest, tokens)
    found = []
    for benchmark in dict.fromkeys(pair.benchmark for pair in pairs):
        here = [pair for pair in pairs if pair.benchmark == benchmark]
        keys = [(pair.problem_id, 0) for pair in here]
        problems = _problems(manifest, benchmark, {pair.problem_id for pair in here})
        rows = {
            arm: _rows_of(manifest["arms"][arm]["evaluation"][benchmark], "evaluation", keys)
            for arm in (base, str(main))
        }
        for pair in here:
            name = pair.problem_id
            sides = [
                {
                    "arm": arm,
                    **_side(tokens, of_arm[name, 0]),
                    **_seen(seen.get((benchmark, arm, name)), threshold),
                }
                for arm, of_arm in rows.items()
            ]
            found.append(
                {
                    **{"benchmark": benchmark, "outcome": pair.outcome},
                    **_problem(problems, name),
                    "sides": sides,
                }
            )
    return found


def _side(tokens: TokenTexts, row: Mapping[str, Any]) -> dict[str, Any]:
    shown = row["token_ids"][:TOKENS]
    logprobs = (row["logprobs"] or [])[: len(shown)]
    return {
        **{key: row[key] for key in ("verdict", "answer", "reason", "finish_reason")},
        "tokens": tokens.pieces(shown),
        "length": len(row["token_ids"]),
        "surprise": [round(-float(value), 3) for value in logprobs],
    }


def _side_by_side(
    manifest: Manifest, tokens: TokenTexts
) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """Positions by (benchmark, arm, problem): entropies and what else might have stood there."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    path = manifest.get("side_by_side")
    for row in tables.rows(path, "side_by_side") if path else ():
        shares = [np.exp(row[key]) for key in ("top_logprobs", "trained_top_logprobs")]
        found.setdefault((row["benchmark"], row["arm"], row["problem_id"]), []).append(
            {
                "entropy": round(row["entropy"], 3),
                "trained_entropy": round(row["trained_entropy"], 3),
                "alternatives": [
                    (tokens.alone(token), round(float(before), 4), round(float(after), 4))
                    for token, before, after in zip(row["top_ids"], *shares, strict=True)
                ],
            }
        )
    return found


def _seen(rows: list[dict[str, Any]] | None, threshold: float | None) -> dict[str, Any]:
    """A side's positions under both models; decisions are those that the main gate would take."""
    if rows is None:
        return {}
    limit = np.inf if threshold is None else threshold
    return {
        "entropy": [row["entropy"] for row in rows],
        "trained_entropy": [row["trained_entropy"] for row in rows],
        "gated": [position for position, row in enumerate(rows) if row["entropy"] > limit],
        "alternatives": {
            position: row["alternatives"]
            for position, row in enumerate(rows)
            if max(row["entropy"], row["trained_entropy"]) >= SURE
        },
    }


# --- tables -----------------------------------------------------------------------------------


def _selection(manifest: Manifest) -> dict[Key, dict[str, Any]]:
    main = main_of(manifest["arms"])
    path = manifest["arms"][main].get("selection") if main else None
    if not path:
        return {}
    columns = ["problem_id", "sample", "positions", "advantage"]
    rows = tables.rows(path, "selection", columns)
    return {(row["problem_id"], row["sample"]): row for row in rows}


def _verdicts(manifest: Manifest) -> dict[Key, dict[str, Any]]:
    columns = ["problem_id", "sample", "verdict", "answer"]
    return {
        (row["problem_id"], row["sample"]): row
        for path in manifest["verdicts"]
        for row in tables.rows(path, "verdicts", columns, manifest.get("samples"))
    }


def _rows_of(paths: Sequence[str], name: str, keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    return {
        (row["problem_id"], row["sample"]): row
        for path in paths
        for batch in tables.iter_batches(path, name)
        for row in _filtered(batch, keys).to_pylist()
    }


def _filtered(batch: pa.Table, keys: Sequence[Key]) -> pa.Table:
    problems = pa.array([problem for problem, _ in keys], pa.string())
    batch = batch.filter(pc.is_in(batch["problem_id"], value_set=problems))
    wanted = set(keys)
    rows = zip(batch["problem_id"].to_pylist(), batch["sample"].to_pylist(), strict=True)
    return batch.filter(pa.array([key in wanted for key in rows], pa.bool_()))


DISAGREEMENTS = 10


def collect_disagreements(manifest: Manifest) -> list[dict[str, Any]]:
    """Samples that plain math-verify judges otherwise, of every benchmark and arm in turn."""
    columns = ["problem_id", "sample", "text", "verdict", "answer", "second"]
    places = [
        (benchmark, name, arm["evaluation"][benchmark])
        for benchmark in manifest["benchmarks"]
        for name, arm in manifest["arms"].items()
        if arm["evaluation"].get(benchmark)
    ]
    each = max(1, DISAGREEMENTS // max(1, len(places)))
    found: list[dict[str, Any]] = []
    for benchmark, arm, paths in places:
        rows = (row for path in paths for row in tables.rows(path, "evaluation", columns))
        apart = (
            row
            for row in rows
            if row["second"] and (row["second"] == "correct") != (row["verdict"] == "correct")
        )
        here = list(islice(apart, each))
        problems = _problems(manifest, benchmark, {row["problem_id"] for row in here})
        found += [
            {
                **_head(problems, row["problem_id"], row["sample"], row),
                **{"arm": arm, "benchmark": benchmark, "second": row["second"]},
                "end": row["text"][-300:],
            }
            for row in here
        ]
    return found[:DISAGREEMENTS]


def _problems(manifest: Manifest, split: str, names: set[str]) -> dict[str, dict[str, Any]]:
    path = manifest.get("problems", {}).get(split)
    if not path:
        return {}
    rows = tables.rows(path, "problems", ["problem_id", "problem", "answer"])
    return {row["problem_id"]: row for row in rows if row["problem_id"] in names}


def _problem(problems: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    row = problems.get(name, {})
    text = row.get("problem") or ""
    return {"problem_id": name, "problem": text[:TEXT], "reference": row.get("answer")}


def _head(
    problems: Mapping[str, dict[str, Any]], name: str, sample: int, verdict: Mapping[str, Any]
) -> dict[str, Any]:
    outcome = {"verdict": verdict["verdict"], "answer": verdict["answer"]}
    return {**_problem(problems, name), "sample": sample, **outcome}


# --- text of tokens ---------------------------------------------------------------------------


class TokenTexts:
    """The text that each token adds, so that the pieces join to the decoded whole."""

    def __init__(self, tokenizer: Any) -> None:
        self._decode = lambda ids: tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        self._alone: dict[int, str] = {}

    def whole(self, ids: Sequence[int]) -> str:
        return str(self._decode(list(ids)))

    def alone(self, token: int) -> str:
        if token not in self._alone:
            self._alone[token] = self._decode([token])
        return self._alone[token]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """One text a token. A character spread over several tokens stands at its last one."""
        found, told = [], 0
        for end in range(1, len(ids) + 1):
            start = max(0, told - 4)  # a little context: some tokenizers join tokens by spaces
            before, after = self._decode(ids[start:told]), self._decode(ids[start:end])
            if after.endswith("\ufffd") and end < len(ids) and end - told < 4:
                found.append("")
                continue
            found.append(after[len(before) :])
            told = end
        return found
