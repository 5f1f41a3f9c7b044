"""Stage `selection`: which rollouts train, how strongly, and at which positions.

From verdicts to training sequences: keep problems that the base solves sometimes, give each of
their rollouts an advantage (Eq. 5), and mark its decision positions, the ones whose entropy under
the base (Eq. 2) exceeds a threshold. The other gates are controls: all but `all` take as
many positions of a rollout as the entropy gate would.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .. import tables
from ..config import SelectionConfig
from ..config.selection import THRESHOLDS
from ..errors import UserError
from ..method.advantages import ADVANTAGES
from ..method.credit import CREDIT
from ..method.forecast import gain, reward_variance
from ..method.gates import GATES, Candidates
from ..tables.provenance import provenance

HELP = "choose training rollouts, their advantages and their decision positions"

NEAR_THRESHOLD = 0.03  # nats; what batch shape can move an entropy in bfloat16
# Nats, engine against scorer; both compute logits in float32, so what differs is the states.
AUDIT_MEAN, AUDIT_P95 = 0.005, 0.05

GAP_BITS = 20  # of a float32 gap's 31 that its bin keeps: bins are 0.02% wide

Key = tuple[str, int]
_NOTHING = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Scored:
    """A rollout with its verdict and the base's entropies of its completion of T tokens.

    Of a problem that is not kept, ids and entropies are left out.
    """

    problem: str
    sample: int
    prompt_ids: Sequence[int]
    ids: Sequence[int]
    truncated: bool
    reward: int  # 1 if right, else 0
    entropies: np.ndarray  # [T] float32, nats
    advantage: float = 0.0
    # What each token trains with where it is a decision.
    credits: np.ndarray = field(default_factory=lambda: _NOTHING)  # [T] float64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name in ("rollouts", "verdicts", "entropies"):
        parser.add_argument(
            f"--{name}", required=True, nargs="+", type=Path, help=f"the {name}, shard by shard"
        )
    parser.add_argument("--config", required=True, help="config section `selection` as JSON")
    parser.add_argument(
        "--job",
        default="{}",
        help="JSON: samples, the number of rollouts of each problem to use; all without it",
    )
    parser.add_argument("--out", required=True, type=Path, help="table `selection` to write")
    parser.add_argument("--summary", required=True, type=Path, help="JSON of counts to write")


def main(args: argparse.Namespace) -> None:
    config = SelectionConfig.from_json(args.config)
    scores = args.rollouts, args.verdicts, args.entropies
    run(*scores, config, args.out, args.summary, json.loads(args.job).get("samples"))


def run(
    rollouts: Sequence[Path],
    verdicts: Sequence[Path],
    entropies: Sequence[Path],
    config: SelectionConfig,
    out: Path,
    summary: Path,
    samples: int | None = None,
) -> None:
    """Select from `rollouts` into the table `out`, with its figures in `summary`.

    Args:
        rollouts: tables of rollouts, shard by shard.
        verdicts: their verdicts.
        entropies: their entropies under the base.
        config: the section `selection`.
        out: table `selection` to write.
        summary: JSON of counts to write.
        samples: how many rollouts of each problem to use, the first ones; None: all.

    Raises:
        UserError: as `read_scored` and `select` do.
    """
    scored, audit = read_scored(rollouts, verdicts, entropies, config, samples)
    rows, figures = select(scored, config)
    record = provenance(
        "selection",
        config.model_dump(mode="json"),
        inputs=[*rollouts, *verdicts, *entropies],
        seed=config.seed,
    )
    tables.write(out, "selection", rows, record)
    text = json.dumps({**figures, "audit": audit, "provenance": record}, indent=2, sort_keys=True)
    tables.write_text(summary, text + "\n")


def select(
    scored: Sequence[Scored], config: SelectionConfig
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Choose problems, rollouts and decisions.

    Args:
        scored: every rollout of the problems, in the order of the files.
        config: the section `selection`.

    Returns:
        Rows of the table `selection`, and the summary's figures (entropies in nats).

    Raises:
        UserError: when too few problems are mixed, with the histogram of pass rates, and when no
            rollout has both an advantage and a decision position.
    """
    truncated = sum(rollout.truncated for rollout in scored)
    pool = _pool(scored, config)
    kept, mixed, rates = kept_problems(pool, config)
    forecast = _forecast(pool, rates, config)
    groups: dict[str, list[Scored]] = {problem: [] for problem in kept}
    for rollout in pool:
        if rollout.problem in groups:
            groups[rollout.problem].append(rollout)
    untrimmed = sum(map(len, groups.values()))
    groups = _trimmed(groups, config.trim_longest)
    trimmed = untrimmed - sum(map(len, groups.values()))
    rng = np.random.default_rng(config.seed)
    chosen = [r for group in groups.values() for r in _with_advantages(group, config, rng)]
    threshold = gate_threshold(chosen, config)
    rows = [_row(r, gate(r, threshold, config, rng), rates[r.problem]) for r in chosen]
    if not any(map(any, (row["advantages"] for row in rows))):
        raise UserError(_nothing_to_learn(chosen, threshold, config))
    figures = _figures(rows, chosen, rates, mixed, threshold)
    counts = {"rollouts": len(scored), "truncated": truncated, "rollouts_trimmed": trimmed}
    return rows, figures | counts | forecast


# --- problems ---------------------------------------------------------------------------------


def _pool(scored: Iterable[Scored], config: SelectionConfig) -> list[Scored]:
    return [r for r in scored if not (config.truncated == "drop" and r.truncated)]


def kept_problems(
    pool: Iterable[Scored], config: SelectionConfig
) -> tuple[list[str], list[str], dict[str, float]]:
    """The problems that train, by the rewards of their rollouts alone.

    Args:
        pool: the rollouts that count, in the order of the files.
        config: `window`, `problems` and `min_problems`.

    Returns:
        The problems that are kept, all that are mixed, and the pass rate of each.

    Raises:
        UserError: when too few problems are mixed, with the histogram of pass rates.
    """
    rewards = _rewards(pool)
    rates = {problem: sum(values) / len(values) for problem, values in rewards.items()}
    mixed = [p for p, rate in rates.items() if _is_mixed(rate, config.window)]
    if len(mixed) < config.min_problems:
        raise UserError(_too_few(mixed, rates, config))
    nearest = sorted(mixed, key=lambda problem: _from_half(rewards[problem]))[: config.problems]
    # The order of the draws has no ties to break, and the published figures rest on this one.
    return sorted(nearest, key=lambda problem: abs(rates[problem] - 0.5)), mixed, rates


def _forecast(
    pool: Iterable[Scored], rates: dict[str, float], config: SelectionConfig
) -> dict[str, float]:
    """What can be gained on such problems: `UserError` where it is next to nothing."""
    variance = reward_variance(_rewards(pool).values())
    low, high = gain(variance)
    print(f"forecast: training gains {100 * low:.1f} to {100 * high:.1f} points on such problems")
    if high < config.min_forecast:
        raise UserError(
            f"selection.min_forecast: training can be expected to gain {100 * low:.1f} to "
            f"{100 * high:.1f} points on such problems, since the base's rollouts of a problem "
            "hardly ever differ: most problems are too hard for it or too easy. To train all the "
            f"same, set selection.min_forecast: 0. {_other_pool(rates)}"
        )
    return {"reward_variance": variance, "forecast_low": low, "forecast_high": high}


def _rewards(rollouts: Iterable[Scored]) -> dict[str, list[int]]:
    """Rewards by problem, problems in their order of appearance."""
    rewards: dict[str, list[int]] = {}
    for rollout in rollouts:
        rewards.setdefault(rollout.problem, []).append(rollout.reward)
    return rewards


def _from_half(rewards: Sequence[int]) -> Fraction:
    """How far the pass rate is from a half, exactly: to floats 9/20 is nearer than 11/20."""
    return abs(Fraction(sum(rewards), len(rewards)) - Fraction(1, 2))


def _is_mixed(rate: float, window: tuple[float, float]) -> bool:
    return max(window[0], 0.0) < rate < min(window[1], 1.0)


def histogram(rates: Iterable[float]) -> list[dict[str, Any]]:
    """Counts of problems by pass rate, in 21 bins centred on 0, 0.05, ..., 1."""
    counts = Counter(math.floor(rate * 20 + 0.5) for rate in rates)
    return [{"pass_rate": bin_ / 20, "problems": counts[bin_]} for bin_ in range(21)]


def _too_few(mixed: Sequence[str], rates: dict[str, float], config: SelectionConfig) -> str:
    return (
        f"selection.min_problems: {len(mixed)} problems have a pass rate strictly inside "
        f"{list(config.window)}, at least {config.min_problems} are needed. {_other_pool(rates)}"
    )


def _other_pool(rates: dict[str, float]) -> str:
    """The pass rates, and what to change so that more of them are mixed."""
    lines = ["Pass rates:"]
    for bin_ in histogram(rates.values()):
        if bin_["problems"]:
            lines.append(f"  {bin_['pass_rate']:.2f}  {bin_['problems']} problems")
    mean = sum(rates.values()) / max(len(rates), 1)
    pool = "an easier pool of problems" if mean < 0.5 else "a harder pool of problems"
    lines.append(
        f"Mean pass rate {mean:.2f}. Take {pool} (problems.train), more samples of each "
        "(rollouts.samples), another rollouts.temperature, or a wider selection.window."
    )
    return "\n".join(lines)


def _nothing_to_learn(chosen: Sequence[Scored], threshold: float, config: SelectionConfig) -> str:
    """Why no rollout has both an advantage and a decision position."""
    if not any(rollout.advantage for rollout in chosen):
        return (
            f"selection.trim_longest: without the longest {config.trim_longest:.0%} of the "
            "rollouts no problem has both a right and a wrong one left; lower it"
        )
    key = next(name for name in THRESHOLDS if getattr(config, name) is not None)
    most = max((float(r.entropies.max()) for r in chosen if len(r.entropies)), default=0.0)
    return (
        f"selection.{key}: no position of a rollout with an advantage has an entropy above "
        f"{threshold:.4g} nats (the largest of all is {most:.4g}), so nothing would be learnt; "
        f"{'lower tau' if key == 'tau' else f'take another {key}'}"
    )


def _trimmed(groups: dict[str, list[Scored]], share: float) -> dict[str, list[Scored]]:
    """Without the longest `share` of all groups' rollouts together; off in the paper.

    Of rollouts of one length the later ones go first, so that the share is exact.
    """
    lengths = {(p, i): len(r.ids) for p, group in groups.items() for i, r in enumerate(group)}
    shortest = sorted(lengths, key=lengths.__getitem__)
    kept = set(shortest[: len(shortest) - math.floor(share * len(shortest))])
    return {p: [r for i, r in enumerate(group) if (p, i) in kept] for p, group in groups.items()}


# --- advantages and gates ---------------------------------------------------------------------


def _with_advantages(
    group: Sequence[Scored], config: SelectionConfig, rng: np.random.Generator
) -> list[Scored]:
    """A problem's rollouts with advantages and credits, without those that are left out."""
    if not group:
        return []
    rule = ADVANTAGES[config.advantages]
    assigned = rule.assign([rollout.reward for rollout in group], rng)
    pairs = zip(group, assigned, strict=True)
    kept = [replace(rollout, advantage=a) for rollout, a in pairs if a is not None]
    advantages = np.array([rollout.advantage for rollout in kept], dtype=np.float64)
    credits = CREDIT[config.credit if rule.compares else "rollout"].assign(
        [rollout.ids for rollout in kept], advantages
    )
    return [replace(rollout, credits=c) for rollout, c in zip(kept, credits, strict=True)]


def gate_threshold(rollouts: Sequence[Scored], config: SelectionConfig) -> float:
    """The threshold tau that a decision's entropy exceeds.

    Args:
        rollouts: those that train; without `config.tau` their entropies are pooled.
        config: `tau` in nats, the `top_fraction` of the positions above it, or the
            `entropy_share` of all entropy that they hold.

    Returns:
        tau in nats; 0 where it is to be found from no positions.
    """
    if config.tau is not None:
        return config.tau
    entropies = np.concatenate([r.entropies for r in rollouts] or [_NOTHING])
    if not len(entropies):
        return 0.0
    descending = np.sort(entropies)[::-1]
    if config.top_fraction is not None:
        above = round(config.top_fraction * len(entropies))
    else:
        assert config.entropy_share is not None  # one of the three, says the config
        held = descending.cumsum(dtype=np.float64)
        above = int(np.searchsorted(held, config.entropy_share * held[-1])) + 1
    return float(descending[min(above, len(entropies) - 1)])


def gate(
    rollout: Scored, threshold: float, config: SelectionConfig, rng: np.random.Generator
) -> np.ndarray:
    """The decision positions of a rollout: t with H_t > tau, or a control's, as many of them.

    Args:
        rollout: with its credits.
        threshold: tau in nats.
        config: `gate`, which says which positions; "all" takes more than the others.
        rng: draws the positions of the gate "random".

    Returns:
        [D] int64, 0-based in the completion, ascending.
    """
    above = np.flatnonzero(rollout.entropies > np.float32(threshold))
    at = Candidates(rollout.entropies, rollout.credits, above)
    return GATES[config.gate].choose(at, rng)


# --- what is written --------------------------------------------------------------------------


def _row(rollout: Scored, positions: np.ndarray, pass_rate: float) -> dict[str, Any]:
    return {
        "problem_id": rollout.problem,
        "sample": rollout.sample,
        "prompt_token_ids": rollout.prompt_ids,
        "token_ids": rollout.ids,
        "reward": float(rollout.reward),
        "pass_rate": pass_rate,
        "advantage": rollout.advantage,
        "positions": positions.tolist(),
        "advantages": rollout.credits[positions].tolist(),
        "selected_entropy": float(rollout.entropies[positions].sum(dtype=np.float64)),
    }


def _figures(
    rows: Sequence[dict[str, Any]],
    chosen: Sequence[Scored],
    rates: dict[str, float],
    mixed: Sequence[str],
    threshold: float,
) -> dict[str, Any]:
    entropies = np.concatenate([r.entropies for r in chosen] or [_NOTHING])
    positions, gated = len(entropies), sum(len(row["positions"]) for row in rows)
    near = np.abs(entropies - np.float32(threshold)) <= NEAR_THRESHOLD
    return {
        "pass_rates": histogram(rates.values()),
        "problems": len(rates),
        "problems_mixed": len(mixed),
        "problems_kept": len({row["problem_id"] for row in rows}),
        "rollouts_kept": len(rows),
        "rollouts_correct": sum(row["reward"] > 0 for row in rows),
        "rollouts_without_advantage": sum(row["advantage"] == 0 for row in rows),
        "rollouts_without_decision": sum(not row["positions"] for row in rows),
        "positions": positions,
        "positions_gated": gated,
        "share_gated": gated / max(positions, 1),
        "threshold": threshold,
        "near_threshold": float(near.mean()) if positions else 0.0,
        "entropy_total": float(entropies.sum(dtype=np.float64)),
        "entropy_selected": sum(row["selected_entropy"] for row in rows),
    }


# --- what is read -----------------------------------------------------------------------------


def read_scored(
    rollouts: Sequence[Path],
    verdicts: Sequence[Path],
    entropies: Sequence[Path],
    config: SelectionConfig,
    samples: int | None = None,
) -> tuple[list[Scored], dict[str, Any]]:
    """Join rollouts with their verdicts and entropies.

    Args:
        rollouts: tables of rollouts, shard by shard.
        verdicts: their verdicts.
        entropies: their entropies under the base.
        config: whether truncated rollouts count as wrong.
        samples: how many rollouts of each problem to use, the first ones; None: all.

    Returns:
        The rollouts in the order of the files, and the audit of engine against scorer.

    Raises:
        UserError: if a rollout has no verdict, not one entropy and log-prob a token, or a value of
            the scorer's that is not finite.
    """
    outlined = [
        r
        for shard in zip(rollouts, verdicts, strict=True)
        for r in _outlined(*shard, config, samples)
    ]
    kept = frozenset(kept_problems(_pool(outlined, config), config)[0])
    gaps = Gaps()
    whole = iter(outlined)
    found = [
        replace(next(whole), **arrays)
        for path, scores in zip(rollouts, entropies, strict=True)
        for arrays in _arrays(path, scores, kept, gaps, samples)
    ]
    return found, gaps.audit()


def _outlined(
    rollouts: Path, verdicts: Path, config: SelectionConfig, samples: int | None
) -> Iterator[Scored]:
    """The rollouts of a shard without their tokens: enough to choose among problems."""
    outcomes = {
        (row["problem_id"], row["sample"]): row["verdict"]
        for row in tables.rows(verdicts, "verdicts", ["problem_id", "sample", "verdict"])
    }
    for row in tables.rows(
        rollouts, "rollouts", ["problem_id", "sample", "finish_reason"], samples
    ):
        key = row["problem_id"], row["sample"]
        if key not in outcomes:
            raise UserError(f"{_where(rollouts, key)}: has no verdict; are the files from one run?")
        truncated = row["finish_reason"] == "length"
        wrong = truncated and config.truncated == "wrong"
        # A timeout and an answer that cannot be read are failures, like a wrong answer.
        reward = int(outcomes[key] == "correct" and not wrong)
        yield Scored(sys.intern(key[0]), key[1], (), (), truncated, reward, _NOTHING)


def _arrays(
    rollouts: Path, entropies: Path, kept: frozenset[str], gaps: Gaps, samples: int | None
) -> Iterator[dict[str, Any]]:
    """What each rollout of a shard lacks: its ids and entropies, if its problem is kept.

    Both files are in one order and read side by side, so that memory does not grow with them.
    """
    scores = _scores(entropies, samples)
    columns = ["problem_id", "sample", "prompt_token_ids", "token_ids", "logprobs"]
    ahead = next(scores, None)
    for table in tables.iter_batches(rollouts, "rollouts", columns, samples):
        keys = table["problem_id"].to_pylist(), table["sample"].to_pylist()
        lists = [_lists(table[name]) for name in columns[2:]]
        for *key, prompt, ids, logprobs in zip(*keys, *lists, strict=True):
            entropy, logprob = _NOTHING, _NOTHING
            if ahead is not None and ahead[0] == (*key,):
                _, entropy, logprob = ahead
                ahead = next(scores, None)
            where = _where(rollouts, (*key,))
            for name, values in (("entropies", entropy), ("logprobs", logprobs)):
                if len(values) != len(ids):
                    raise UserError(
                        f"{where}: {len(ids)} tokens but {len(values)} {name}; "
                        "are the files from one run?"
                    )
            if not (np.isfinite(entropy).all() and np.isfinite(logprob).all()):
                raise UserError(
                    f"{where}: the scorer's entropies or log-probs are not all finite: the model "
                    f"overflows in its type; set model.dtype to bfloat16 or float32"
                )
            gaps.add(logprobs - logprob)
            if key[0] in kept:
                yield {"prompt_ids": prompt.copy(), "ids": ids.copy(), "entropies": entropy}
            else:
                yield {}


def _where(path: Path, key: Key) -> str:
    return f"{path}: problem '{key[0]}', sample {key[1]}"


def _lists(column: pa.ChunkedArray) -> list[np.ndarray]:
    """The lists of a column, as views into one array."""
    lists = column.combine_chunks()
    ends = np.cumsum(lists.value_lengths().to_numpy(zero_copy_only=False))
    return np.split(lists.flatten().to_numpy(zero_copy_only=False), ends)[:-1]


def _scores(entropies: Path, samples: int | None) -> Iterator[tuple[Key, np.ndarray, np.ndarray]]:
    """Each rollout with its entropies and log-probs; its positions stand together, in order."""
    columns = ["problem_id", "sample", "position", "entropy", "logprob"]
    last: Key | None = None
    pieces: list[tuple[np.ndarray, np.ndarray]] = []
    for table in tables.iter_batches(entropies, "entropies", columns, samples):
        problems = table["problem_id"].combine_chunks().dictionary_encode()
        names, codes = problems.dictionary.to_pylist(), problems.indices.to_numpy()
        sample, position = table["sample"].to_numpy(), table["position"].to_numpy()
        breaks = (np.diff(codes) != 0) | (np.diff(sample) != 0) | (np.diff(position) != 1)
        cuts = np.concatenate([[0], np.flatnonzero(breaks) + 1, [table.num_rows]])
        values = table["entropy"].to_numpy(), table["logprob"].to_numpy()
        for start, end in pairwise(cuts.tolist()):
            key = (names[codes[start]], int(sample[start]))
            if last is not None and key != last:
                yield last, *_joined(pieces)
                pieces = []
            if sum(len(entropy) for entropy, _ in pieces) != position[start]:
                raise UserError(
                    f"{entropies}: position: problem '{key[0]}', sample {key[1]} is not in order "
                    "or occurs twice; make the file again"
                )
            pieces.append((values[0][start:end].copy(), values[1][start:end].copy()))
            last = key
    if last is not None:
        yield last, *_joined(pieces)


def _joined(pieces: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    entropies, logprobs = map(np.concatenate, zip(*pieces, strict=True))
    return entropies, logprobs


class Gaps:
    """How far engine and scorer are apart on the sampled tokens, in memory of one size."""

    def __init__(self) -> None:
        self._positions = self._finite = 0
        self._sum = self._max = 0.0
        # By the size of a gap: how many there are, and their sum.
        self._counts = np.zeros(1 << GAP_BITS, dtype=np.int64)
        self._sums = np.zeros(1 << GAP_BITS)

    def add(self, gaps: np.ndarray) -> None:
        """Take in gaps [N] float32, the engine's log-prob minus the scorer's; may be non-finite."""
        finite = gaps[np.isfinite(gaps)]
        self._positions += len(gaps)
        self._finite += len(finite)
        self._sum += float(finite.sum(dtype=np.float64))
        size = np.abs(finite)
        self._max = max(self._max, float(size.max(initial=0.0)))
        # Bits of a positive float are in the order of their values.
        bins = size.view(np.uint32) >> (31 - GAP_BITS)
        np.add.at(self._counts, bins, 1)
        np.add.at(self._sums, bins, size)

    def audit(self) -> dict[str, Any]:
        """Number of finite gaps, their mean, and 95% quantile and maximum of their size, in nats.

        The quantile is right to 0.02%. Warnings stand beside them, in words.
        """
        warnings = []
        if self._finite < self._positions:
            lost = self._positions - self._finite
            warnings.append(f"the engine gave no finite log-prob at {lost} positions")
        if not self._finite:
            return {"positions": 0, "mean": None, "p95": None, "max": None, "warnings": warnings}
        mean = self._sum / self._finite
        of_p95 = np.searchsorted(np.cumsum(self._counts), 0.95 * self._finite)
        p95 = float(self._sums[of_p95] / self._counts[of_p95])
        if abs(mean) > AUDIT_MEAN:
            warnings.append(f"engine and scorer log-probs differ by {mean:.4f} nats in the mean")
        if p95 > AUDIT_P95:
            warnings.append(f"engine and scorer log-probs differ by over {p95:.3f} nats at 5%")
        return {
            "positions": self._finite,
            "mean": mean,
            "p95": p95,
            "max": self._max,
            "warnings": warnings,
        }
