"""Which rollouts train, with what advantage, at which positions."""

from __future__ import annotations

import json
import math
import tracemalloc

import numpy as np
import pytest
from rollout_rows import rollout

from reasonmaxxer import tables
from reasonmaxxer.config import SelectionConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.method.advantages import group_advantages as advantages
from reasonmaxxer.stages import selection
from reasonmaxxer.stages.selection import Scored, select


def _config(**changes) -> SelectionConfig:
    return SelectionConfig(**({"tau": 1.0, "problems": None} | changes))


def _scored(problem, sample, reward, entropies=(0.5, 1.5, 0.2, 2.5), truncated=False) -> Scored:
    values = np.asarray(entropies, dtype=np.float32)
    return Scored(problem, sample, [1, 2], list(range(len(values))), truncated, reward, values)


def _pool(rates: dict[str, list[int]]) -> list[Scored]:
    return [_scored(p, i, r) for p, rewards in rates.items() for i, r in enumerate(rewards)]


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        # by hand: mean 1/4, population std sqrt(3)/4
        ([1, 0, 0, 0], [math.sqrt(3), -1 / math.sqrt(3), -1 / math.sqrt(3), -1 / math.sqrt(3)]),
        ([1, 0], [1.0, -1.0]),
        ([1, 1, 1], [0.0, 0.0, 0.0]),
        # 1 of 20: sqrt(19), beyond the trainer's clip of 2.5
        ([1] + [0] * 19, [math.sqrt(19)] + [-1 / math.sqrt(19)] * 19),
    ],
    ids=["quarter", "half", "all-equal", "one-of-twenty"],
)
def test_advantages_are_equation_5(rewards, expected):
    assert advantages(rewards) == pytest.approx(expected, abs=2e-5)


def test_only_problems_of_mixed_success_train():
    rows, figures = select(_pool({"a": [0, 0], "b": [1, 0], "c": [1, 1]}), _config())
    assert {row["problem_id"] for row in rows} == {"b"}
    assert (figures["problems"], figures["problems_mixed"]) == (3, 1)
    assert {b["pass_rate"]: b["problems"] for b in figures["pass_rates"] if b["problems"]} == {
        0.0: 1,
        0.5: 1,
        1.0: 1,
    }


def test_the_problems_nearest_to_one_half_are_kept():
    pool = _pool({"a": [1, 0, 0, 0, 0], "b": [1, 1, 0, 0, 0], "c": [1, 1, 1, 1, 0]})
    rows, _ = select(pool, _config(problems=1))
    assert {row["problem_id"] for row in rows} == {"b"}


@pytest.mark.parametrize("samples", [5, 8, 20, 64])
def test_of_problems_as_near_to_one_half_the_first_in_the_pool_is_kept(samples):
    for correct in range(1, (samples + 1) // 2):
        few, many = ([1] * n + [0] * (samples - n) for n in (correct, samples - correct))
        for pool in ({"a": few, "b": many}, {"a": many, "b": few}):
            rows, _ = select(_pool(pool), _config(problems=1))
            assert {row["problem_id"] for row in rows} == {"a"}


def test_the_window_is_strict():
    pool = _pool({"a": [1, 0, 0, 0], "b": [1, 1, 0, 0], "c": [1, 1, 1, 0]})
    rows, _ = select(pool, _config(window=(0.25, 0.75)))
    assert {row["problem_id"] for row in rows} == {"b"}


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ("entropy", [1, 3]),
        ("first", [0, 1]),
        ("last", [2, 3]),
        ("low-entropy", [0, 2]),
        ("all", [0, 1, 2, 3]),
    ],
)
def test_gates_take_the_positions_they_are_named_for(gate, expected):
    rows, figures = select(_pool({"a": [1, 0]}), _config(gate=gate))
    assert [row["positions"] for row in rows] == [expected, expected]
    entropies = np.array([0.5, 1.5, 0.2, 2.5], dtype=np.float32)
    assert rows[0]["selected_entropy"] == pytest.approx(entropies[expected].sum())
    assert figures["entropy_selected"] == pytest.approx(2 * entropies[expected].sum())
    assert figures["entropy_total"] == pytest.approx(2 * entropies.sum())
    assert figures["positions_gated"] == 2 * len(expected)


@pytest.mark.parametrize("gate", ["random", "low-entropy", "first", "last"])
def test_controls_match_the_entropy_gate_rollout_by_rollout(gate):
    rng = np.random.default_rng(1)
    pool = [_scored("a", i, i % 2, rng.exponential(0.8, 5 + 7 * i)) for i in range(12)]
    wanted, _ = select(pool, _config())
    found, _ = select(pool, _config(gate=gate))
    assert [len(r["positions"]) for r in found] == [len(r["positions"]) for r in wanted]
    assert any(f["positions"] != w["positions"] for f, w in zip(found, wanted, strict=True))
    for row in found:
        assert row["positions"] == sorted(set(row["positions"]))
        assert all(0 <= p < len(row["token_ids"]) for p in row["positions"])


@pytest.mark.parametrize("share", [0.03, 0.25, 0.9])
def test_the_quantile_gate_takes_its_share_of_the_positions(share):
    rng = np.random.default_rng(2)
    pool = [_scored("a", i, i % 2, rng.exponential(0.8, 50)) for i in range(20)]
    _, figures = select(pool, _config(tau=None, top_fraction=share))
    assert figures["positions_gated"] == round(share * 1000)


@pytest.mark.parametrize("share", [0.03, 0.5, 0.95])
def test_the_fewest_positions_hold_their_share_of_the_entropy(share):
    rng = np.random.default_rng(2)
    pool = [_scored("a", i, i % 2, rng.exponential(0.8, 50)) for i in range(20)]
    _, figures = select(pool, _config(tau=None, entropy_share=share))
    entropies = sorted(np.concatenate([r.entropies for r in pool]).tolist(), reverse=True)
    taken = figures["positions_gated"]
    assert sum(entropies[: taken - 1]) < share * sum(entropies) <= sum(entropies[:taken]) + 1e-4
    assert figures["entropy_selected"] == pytest.approx(sum(entropies[:taken]), rel=1e-5)


def test_random_gates_and_shuffles_follow_the_seed():
    rng = np.random.default_rng(3)
    pool = [_scored("a", i, int(i < 4), rng.exponential(1, 30)) for i in range(10)]

    def drawn(seed):
        rows, _ = select(pool, _config(gate="random", advantages="shuffled", seed=seed))
        return [(row["positions"], row["advantage"]) for row in rows]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_shuffled_advantages_are_the_same_ones_dealt_out_anew():
    pool = _pool({"a": [1, 0, 0, 0, 0, 0, 0, 0], "b": [1, 1, 1, 1, 1, 0, 0, 0]})
    plain, _ = select(pool, _config())
    shuffled, _ = select(pool, _config(advantages="shuffled", seed=5))
    assert [row["reward"] for row in shuffled] == [row["reward"] for row in plain]
    for problem in "ab":
        before = [row["advantage"] for row in plain if row["problem_id"] == problem]
        after = [row["advantage"] for row in shuffled if row["problem_id"] == problem]
        assert sorted(before) == sorted(after)
    assert [r["advantage"] for r in shuffled] != [r["advantage"] for r in plain]


def test_positive_only_trains_on_correct_rollouts_with_advantage_one():
    rows, _ = select(_pool({"a": [1, 0, 1, 0]}), _config(advantages="positive"))
    assert [(row["sample"], row["advantage"]) for row in rows] == [(0, 1.0), (2, 1.0)]


@pytest.mark.parametrize(
    ("truncated", "rollouts", "pass_rate"),
    [("wrong", 4, 0.25), ("keep", 4, 0.5), ("drop", 3, 1 / 3)],
)
def test_truncated_rollouts_are_treated_as_configured(tmp_path, truncated, rollouts, pass_rate):
    files = _files(tmp_path, rewards=[1, 1, 0, 0], cut=[0])
    config = _config(truncated=truncated)
    selection.run(*files, config, tmp_path / "s.parquet", tmp_path / "s.json")
    rows = tables.read(tmp_path / "s.parquet", "selection").to_pylist()
    assert len(rows) == rollouts
    assert rows[0]["pass_rate"] == pytest.approx(pass_rate)
    assert json.loads((tmp_path / "s.json").read_text())["truncated"] == 1


def test_trimming_drops_the_longest_before_advantages():
    pool = [_scored("a", i, int(i < 5), [2.0] * (10 + i)) for i in range(10)]
    rows, figures = select(pool, _config(trim_longest=0.2))
    assert [row["sample"] for row in rows] == list(range(8))
    assert rows[0]["advantage"] == pytest.approx(advantages([1] * 5 + [0] * 3)[0])
    assert figures["rollouts_trimmed"] == 2


def test_trimming_takes_the_exact_share_of_rollouts_of_one_length():
    rows, figures = select(
        _pool({"a": [0, 1, 1, 0, 0], "b": [1, 0, 0, 1, 1]}), _config(trim_longest=0.3)
    )
    assert [(row["problem_id"], row["sample"]) for row in rows] == [
        *(("a", i) for i in range(5)),
        *(("b", i) for i in range(2)),
    ]
    assert figures["rollouts_trimmed"] == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tau": 9.0},
            r"selection\.tau: no position .* above 9 nats \(the largest of all is 2\.5\)",
        ),
        (
            {"tau": None, "top_fraction": 0.1},
            r"selection\.top_fraction: no position",
        ),
        ({"trim_longest": 0.5}, r"selection\.trim_longest: without the longest 50%"),
    ],
    ids=["threshold-too-high", "tied-entropies", "trimmed-to-one-verdict"],
)
def test_a_selection_that_would_teach_nothing_is_an_error(changes, message):
    tied = [2.5] * 3 if "top_fraction" in changes else [2.0, 2.5, 0.1]
    pool = [_scored("a", 0, 0, tied)] * 5 + [_scored("a", 5, 1, tied * 2)] * 5
    with pytest.raises(UserError, match=message):
        select(pool, _config(**changes))


@pytest.mark.parametrize("minimum", [1, 5])
def test_too_few_mixed_problems_are_an_error_with_the_histogram(minimum):
    pool = _pool({"a": [0, 0, 0, 0], "b": [0, 0, 0, 0], "c": [1, 1, 1, 1]})
    with pytest.raises(UserError) as error:
        select(pool, _config(min_problems=minimum))
    message = str(error.value)
    assert "0.00  2 problems" in message and "1.00  1 problems" in message
    assert "easier pool" in message and "rollouts.samples" in message


def test_positions_near_the_threshold_are_counted():
    pool = [_scored("a", i, i, [0.98, 1.02, 0.5, 2.0]) for i in range(2)]
    _, figures = select(pool, _config())
    assert figures["near_threshold"] == pytest.approx(0.5)


# --- the command ------------------------------------------------------------------------------


def _files(folder, rewards, cut=(), verdicts=None, gap=0.0, drop_entropies=0):
    rows, outcomes, scores = [], [], []
    for sample, reward in enumerate(rewards):
        ids = [5, 6, 7, 2]
        end = "length" if sample in cut else "stop"
        own = {"logprobs": [-0.5 + gap] * 4, "finish_reason": end}
        rows.append(rollout([1, 3], ids, "a", sample) | own)
        verdict = verdicts[sample] if verdicts else ("correct" if reward else "incorrect")
        outcomes.append(
            {"problem_id": "a", "sample": sample, "verdict": verdict}
            | {"answer": "", "rule": "", "reason": ""}
        )
        for position, token in enumerate(ids):
            scores.append(
                {
                    "problem_id": "a",
                    "sample": sample,
                    "position": position,
                    "token_id": token,
                    "entropy": 0.4 * position,
                    "logprob": -0.5,
                    "top_ids": [token],
                    "top_logprobs": [-0.5],
                }
            )
    paths = [folder / f"{name}.parquet" for name in ("rollouts", "verdicts", "entropies")]
    tables.write(paths[0], "rollouts", rows)
    tables.write(paths[1], "verdicts", outcomes)
    tables.write(paths[2], "entropies", scores[: len(scores) - drop_entropies])
    return [[path] for path in paths]


def test_timeouts_and_unreadable_answers_are_failures(tmp_path):
    files = _files(tmp_path, [0] * 4, verdicts=["correct", "timeout", "unparseable", "incorrect"])
    selection.run(*files, _config(), tmp_path / "s.parquet", tmp_path / "s.json")
    rows = tables.read(tmp_path / "s.parquet", "selection").to_pylist()
    assert [row["reward"] for row in rows] == [1, 0, 0, 0]
    assert [row["positions"] for row in rows] == [[3]] * 4


@pytest.mark.parametrize(("gap", "warned"), [(0.0, 0), (0.01, 1), (0.2, 2)])
def test_a_scorer_that_disagrees_with_the_engine_is_reported(tmp_path, gap, warned):
    files = _files(tmp_path, [1, 0], gap=gap)
    selection.run(*files, _config(), tmp_path / "s.parquet", tmp_path / "s.json")
    audit = json.loads((tmp_path / "s.json").read_text())["audit"]
    assert audit["mean"] == pytest.approx(gap, abs=1e-6)
    assert audit["p95"] == pytest.approx(gap, abs=1e-6)
    assert len(audit["warnings"]) == warned


def test_log_probs_that_are_no_numbers_are_reported(tmp_path):
    files = _files(tmp_path, [1, 0], gap=float("-inf"))
    selection.run(*files, _config(), tmp_path / "s.parquet", tmp_path / "s.json")
    audit = json.loads((tmp_path / "s.json").read_text())["audit"]
    assert audit["warnings"] == ["the engine gave no finite log-prob at 8 positions"]


@pytest.mark.parametrize("column", ["entropy", "logprob"])
def test_scores_that_are_no_numbers_are_an_error(tmp_path, column):
    files = _files(tmp_path, [1, 0])
    scores = tables.read(files[2][0], "entropies").to_pylist()
    scores[5][column] = math.nan
    tables.write(files[2][0], "entropies", scores)
    with pytest.raises(UserError, match=r"sample 1: .* not all finite: .*model\.dtype"):
        selection.run(*files, _config(), tmp_path / "s.parquet", tmp_path / "s.json")


def test_files_of_different_runs_are_an_error(tmp_path):
    files = _files(tmp_path, [1, 0], drop_entropies=1)
    with pytest.raises(UserError, match=r"sample 1: 4 tokens but 3 entropies"):
        selection.run(*files, _config(), tmp_path / "s.parquet", tmp_path / "s.json")
    assert not (tmp_path / "s.parquet").exists()


def _solved(folder, problems, samples, tokens):
    """Files of problems that every sample solves."""
    folder.mkdir()
    keys = [(f"p{n}", sample) for n in range(problems) for sample in range(samples)]
    ids, zeros = [[0]], np.zeros(tokens, np.float32)
    rows = (rollout([1], range(tokens), *key) for key in keys)
    outcomes = (
        dict(zip(("problem_id", "sample"), key, strict=True))
        | {"verdict": "correct", "answer": "", "rule": "", "reason": ""}
        for key in keys
    )
    paths = [folder / f"{name}.parquet" for name in ("rollouts", "verdicts", "entropies")]
    tables.write(paths[0], "rollouts", rows)
    tables.write(paths[1], "verdicts", outcomes)
    with tables.open_writer(paths[2], "entropies") as writer:
        for problem, sample in keys:
            numbers = dict.fromkeys(("entropy", "logprob"), zeros)
            numbers |= {"position": range(tokens), "token_id": range(tokens)}
            lists = dict.fromkeys(("top_ids", "top_logprobs"), ids * tokens)
            own = {"problem_id": [problem] * tokens, "sample": [sample] * tokens}
            writer.write(own | numbers | lists)
    return paths


def test_the_tokens_of_problems_that_are_not_kept_are_read_and_let_go(tmp_path):
    def peak(*files):
        tracemalloc.start()
        selection.run(*files, _config(), tmp_path / "s.parquet", tmp_path / "s.json")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows = tables.read(tmp_path / "s.parquet", "selection").to_pylist()
        assert [row["problem_id"] for row in rows] == ["a", "a"]
        return found

    mixed = _files(tmp_path, [1, 0])
    solved = _solved(tmp_path / "solved", problems=40, samples=4, tokens=1000)
    both = [[*one, other] for one, other in zip(mixed, solved, strict=True)]
    tokens = 40 * 4 * 1000
    alone = peak(*mixed)
    assert peak(*both) < alone + 4 * tokens  # an id alone takes as much
    audit = json.loads((tmp_path / "s.json").read_text())["audit"]
    assert audit["positions"] == 8 + tokens


def test_the_gap_at_5_percent_is_numpys_quantile():
    gaps = np.random.default_rng(3).normal(0.001, 0.05, 30_000).astype(np.float32)
    found = selection.Gaps()
    for part in np.split(gaps, 30):
        found.add(part)
    audit = found.audit()
    assert audit["p95"] == pytest.approx(np.quantile(np.abs(gaps), 0.95), rel=5e-4)
    assert audit["mean"] == pytest.approx(gaps.mean(dtype=np.float64))
    assert audit["max"] == np.abs(gaps).max()
