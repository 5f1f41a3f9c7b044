"""Completions to read in the page, token by token: rollouts of the base, and pairs of two arms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product, takewhile
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

WAYS = 5  # on from a fork
CONTINUED = 80  # tokens shown of a way

Manifest = Mapping[str, Any]
Key = tuple[str, int]
Row = Mapping[str, Any]


# --- rollouts of the base ---------------------------------------------------------------------


def collect_rollouts(
    manifest: Manifest, threshold: float | None, tokens: TokenTexts
) -> list[dict[str, Any]]:
    """A right and a wrong rollout of problems that the base solves sometimes, near half first.

    Each has the text of its tokens, their entropies (nats), whether they were gated, the likeliest
    tokens with probabilities where the base was not sure, and how the problem's other rollouts went
    on from its gated positions. Problems whose two rollouts part at such a position come first.
    """
    if not (manifest.get("rollouts") and manifest.get("entropies") and manifest.get("verdicts")):
        return []
    drawn = _drawn(manifest)
    pairs = [_right_and_wrong(rollouts) for rollouts in drawn.values()]
    keys = [(row["problem_id"], row["sample"]) for pair in pairs for row in pair]
    scored = _entropies(manifest, keys)
    problems = _problems(manifest, "train", {*drawn})
    at_decision: list[dict[str, Any]] = []
    elsewhere: list[dict[str, Any]] = []
    for pair in pairs:
        shown = [
            {
                **_head(problems, row),
                **_read(row, scores, drawn[row["problem_id"]], threshold, tokens),
            }
            for row in pair
            if (scores := scored.get((row["problem_id"], row["sample"])))
        ]
        parting = _shared(*pair)
        group = at_decision if all(parting in one["gated"] for one in shown) else elsewhere
        group.extend(shown)
    return at_decision + elsewhere


def _drawn(manifest: Manifest) -> dict[str, list[Row]]:
    """All rollouts of the problems to show, with tokens, verdict, and what was selected of them.

    Mixed problems, those that trained first, then by how near half their pass rate is.
    """
    selection, columns = _selection(manifest), ["problem_id", "sample", "verdict", "answer"]
    verdicts = _by_sample(
        row
        for path in manifest["verdicts"]
        for row in tables.rows(path, "verdicts", columns, manifest.get("samples"))
    )
    right: dict[str, list[bool]] = {}
    for (problem, _), row in sorted(verdicts.items()):
        right.setdefault(problem, []).append(row["verdict"] == "correct")
    trained = {problem for problem, _ in selection}

    def rank(problem: str) -> tuple[bool, float, str]:
        return problem not in trained, abs(float(np.mean(right[problem])) - 0.5), problem

    mixed = [name for name, outcomes in right.items() if len(set(outcomes)) > 1]
    shown = sorted(mixed, key=rank)[:PROBLEMS] or sorted(right)[:PROBLEMS]
    keys = sorted(key for key in verdicts if key[0] in shown)
    rows = _rows_of(manifest["rollouts"], "rollouts", keys, [*columns[:2], "token_ids"])
    return {
        name: [
            {**rows[key], **verdicts[key], "selected": selection.get(key)}
            for key in keys
            if key[0] == name and key in rows
        ]
        for name in shown
    }


def _right_and_wrong(rollouts: Sequence[Row]) -> tuple[Row, ...]:
    """The right and the wrong one that go together the longest, of those that trained if any did.

    One rollout where all are right or all wrong.
    """
    sides = [
        [row for row in rollouts if (row["verdict"] == "correct") == right]
        for right in (True, False)
    ]
    trained = [[row for row in side if row["selected"]] or side for side in sides if side]
    return max(product(*trained), key=lambda pair: _shared(*pair))


def _shared(*rows: Row) -> int:
    """How many first tokens rollouts share."""
    places = zip(*(row["token_ids"] for row in rows), strict=False)
    return sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, places))


def _read(
    row: Row,
    scores: Mapping[str, Any],
    rollouts: Sequence[Row],
    threshold: float | None,
    tokens: TokenTexts,
) -> dict[str, Any]:
    """One of a problem's rollouts, token by token."""
    shown, selected = row["token_ids"][:TOKENS], row["selected"]
    entropy = scores["entropy"][: len(shown)]
    gated = (
        [position for position in selected["positions"] if position < len(shown)]
        if selected
        else np.flatnonzero(entropy > (np.inf if threshold is None else threshold)).tolist()
    )
    forks = {at: _ways(row["token_ids"][:at], rollouts, tokens) for at in gated}
    return {
        "advantage": selected["advantage"] if selected else None,
        "tokens": tokens.pieces(shown),
        "length": len(row["token_ids"]),
        "entropy": [round(float(value), 3) for value in entropy],
        "gated": gated,
        "alternatives": _alternatives(tokens, scores, len(shown)),
        "forks": {at: ways for at, ways in forks.items() if len(ways) > 1},
    }


def _ways(prefix: list[int], rollouts: Sequence[Row], tokens: TokenTexts) -> list[dict[str, Any]]:
    """How the rollouts with this prefix went on, by their next token, the most frequent first.

    Each way has its token, how many took it, how many of these were right, and a continuation of
    either outcome.
    """
    at = len(prefix)
    ways: dict[int, list[Row]] = {}
    for row in rollouts:
        if len(row["token_ids"]) > at and row["token_ids"][:at] == prefix:
            ways.setdefault(row["token_ids"][at], []).append(row)
    found = []
    for token, rows in sorted(ways.items(), key=lambda way: -len(way[1]))[:WAYS]:
        right = [row["verdict"] == "correct" for row in rows]
        examples = [rows[right.index(outcome)] for outcome in (True, False) if outcome in right]
        found.append(
            {
                **{"token": tokens.alone(token), "rollouts": len(rows), "correct": sum(right)},
                "continuations": [
                    {
                        **{key: row[key] for key in ("verdict", "answer")},
                        "text": tokens.whole(row["token_ids"][at : at + CONTINUED]),
                        "cut": len(row["token_ids"]) > at + CONTINUED,
                    }
                    for row in examples
                ],
            }
        )
    return found


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
            **{name: [row[name] for row in rows] for name in ("top_ids", "top_logprobs")},
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
    seen = _side_by_side(manifest)
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
                    **_seen(seen.get((benchmark, arm, name), []), threshold, tokens),
                }
                for arm, of_arm in rows.items()
            ]
            head = {"benchmark": benchmark, "outcome": pair.outcome}
            found.append({**head, **_problem(problems, name), "sides": sides})
    return found


def _side(tokens: TokenTexts, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: row[key] for key in ("verdict", "answer", "reason", "finish_reason")},
        "tokens": tokens.pieces(row["token_ids"][:TOKENS]),
        "length": len(row["token_ids"]),
    }


def _side_by_side(manifest: Manifest) -> dict[tuple[str, str, str], list[Row]]:
    """Rows of the table `side_by_side` by (benchmark, arm, problem)."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    path = manifest.get("side_by_side")
    for row in tables.rows(path, "side_by_side") if path else ():
        found.setdefault((row["benchmark"], row["arm"], row["problem_id"]), []).append(row)
    return found


def _seen(rows: list[Row], threshold: float | None, tokens: TokenTexts) -> dict[str, Any]:
    """A side's positions under both models; decisions are those that the main gate would take."""
    if not rows:
        return {}
    limit = np.inf if threshold is None else threshold
    before, after = ([round(r[key], 3) for r in rows] for key in ("entropy", "trained_entropy"))
    alternatives = {}
    for position, row in enumerate(rows):
        if max(before[position], after[position]) >= SURE:
            shares = [np.exp(row[key]) for key in ("top_logprobs", "trained_top_logprobs")]
            alternatives[position] = [
                (tokens.alone(token), *(round(float(share), 4) for share in both))
                for token, *both in zip(row["top_ids"], *shares, strict=True)
            ]
    gated = [position for position, entropy in enumerate(before) if entropy > limit]
    return {
        **{"entropy": before, "trained_entropy": after},
        **{"gated": gated, "alternatives": alternatives},
    }


# --- tables -----------------------------------------------------------------------------------


def _selection(manifest: Manifest) -> dict[Key, dict[str, Any]]:
    main = main_of(manifest["arms"])
    path = manifest["arms"][main].get("selection") if main else None
    if not path:
        return {}
    columns = ["problem_id", "sample", "positions", "advantage"]
    return _by_sample(tables.rows(path, "selection", columns))


def _by_sample(rows: Iterable[dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    return {(row["problem_id"], row["sample"]): row for row in rows}


def _rows_of(
    paths: Sequence[str], name: str, keys: Sequence[Key], columns: list[str] | None = None
) -> dict[Key, dict[str, Any]]:
    return _by_sample(
        row
        for path in paths
        for batch in tables.iter_batches(path, name, columns)
        for row in _filtered(batch, keys).to_pylist()
    )


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
                **_head(problems, row),
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


def _head(problems: Mapping[str, dict[str, Any]], row: Row) -> dict[str, Any]:
    outcome = {key: row[key] for key in ("sample", "verdict", "answer")}
    return _problem(problems, row["problem_id"]) | outcome


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
