"""The stage `metrics` on made-up runs: figures against pandas, one protocol, missing parts."""

import json
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
from scipy import stats

from reasonmaxxer import __main__, tables
from reasonmaxxer.analysis.excerpts import TokenTexts
from reasonmaxxer.errors import UserError
from reasonmaxxer.stages.metrics import compute, corrected, read_manifest, resamples

ARMS = {"base": 0.35, "reasonmaxxer": 0.6, "random-gate": 0.4, "grpo": 0.6}
SMALL: dict[str, Any] = {
    "benchmarks": {"chains": (24, 4), "single": (30, 1)},
    "pool": (8, 6),
    "length": 12,
}


def metrics(folder: Path, manifest: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics.json and figures.json as the command writes them."""
    paths = {name: folder / f"{name}.json" for name in ("metrics", "figures")}
    __main__.main(
        [
            *("metrics", "--manifest", json.dumps(manifest), "--out", str(paths["metrics"])),
            *("--table", str(folder / "metrics.parquet"), "--figures", str(paths["figures"])),
            *("--differences", str(folder / "differences.parquet")),
        ]
    )
    return tuple(json.loads(path.read_text(encoding="utf-8")) for path in paths.values())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("run")
    manifest = synthetic.make_run(folder, arms=ARMS, **SMALL)
    found, figures = metrics(folder, manifest)
    return {"folder": folder, "manifest": manifest, "metrics": found, "figures": figures}


def row(found: dict[str, Any], arm: str, benchmark: str, metric: str) -> dict[str, Any]:
    (only,) = (
        r
        for r in found["rows"]
        if (r["arm"], r["benchmark"], r["metric"]) == (arm, benchmark, metric)
    )
    return only


def evaluation(run: dict[str, Any], arm: str, benchmark: str) -> Any:
    paths = run["manifest"]["arms"][arm]["evaluation"][benchmark]
    return tables.read_all(paths, "evaluation").to_pandas()


# --- figures ----------------------------------------------------------------------------------


def test_rows_hold_what_a_plain_count_of_the_samples_gives(run: dict[str, Any]) -> None:
    for arm in ARMS:
        for benchmark in ("chains", "single"):
            frame = evaluation(run, arm, benchmark)
            parsed = frame[frame.verdict != "unparseable"]
            expected = {
                "accuracy": (frame.verdict == "correct").mean(),
                "accuracy-parsed": (parsed.verdict == "correct").mean(),
                "unparseable": (frame.verdict == "unparseable").mean(),
                "truncated": (frame.finish_reason == "length").mean(),
                "boxed": frame.text.str.contains("\\boxed", regex=False).mean(),
                "length": frame.token_ids.map(len).mean(),
            }
            for metric, value in expected.items():
                found = row(run["metrics"], arm, benchmark, metric)
                assert found["value"] == pytest.approx(value), (arm, benchmark, metric)
                assert found["low"] <= found["value"] <= found["high"]


def test_pass_at_k_goes_up_to_half_the_samples(run: dict[str, Any]) -> None:
    metrics_of = {
        benchmark: {r["metric"] for r in run["metrics"]["rows"] if r["benchmark"] == benchmark}
        for benchmark in ("chains", "single")
    }
    assert {"pass@2", "maj@4"} <= metrics_of["chains"]
    assert not {"pass@4", "pass@3"} & metrics_of["chains"]
    assert not any(m.startswith(("pass@", "maj@")) for m in metrics_of["single"])


def test_pass_at_k_and_majority_agree_with_the_published_estimators(run: dict[str, Any]) -> None:
    """pass@k as in Chen et al. 2021 (arXiv:2107.03374, figure 3), maj@k as in lm-eval: the answer
    given most often, where one is."""
    frame = evaluation(run, "reasonmaxxer", "chains")
    frame["right"] = frame.verdict == "correct"
    pass_at_2, majority = [], []
    for _, problem in frame.groupby("problem_id"):
        n, c, k = len(problem), int(problem.right.sum()), 2
        wrong = np.arange(n - c + 1, n + 1)
        pass_at_2.append(1.0 if n - c < k else 1.0 - np.prod(1.0 - k / wrong))
        counts = problem.answer.dropna().value_counts()
        winners = counts.index[counts == counts.max()]
        right = set(problem.answer[problem.right])
        majority.append(np.mean([answer in right for answer in winners]) if len(winners) else 0.0)
    found = {m: row(run["metrics"], "reasonmaxxer", "chains", m) for m in ("pass@2", "maj@4")}
    assert found["pass@2"]["value"] == pytest.approx(np.mean(pass_at_2))
    assert found["maj@4"]["value"] == pytest.approx(np.mean(majority))


def test_the_mean_is_over_benchmarks_and_its_difference_over_paired_problems(
    run: dict[str, Any],
) -> None:
    found = run["metrics"]
    for arm in ARMS:
        parts = [row(found, arm, b, "accuracy")["value"] for b in ("chains", "single")]
        assert row(found, arm, "mean", "accuracy")["value"] == pytest.approx(np.mean(parts))
    (gain,) = (
        d
        for d in found["differences"]
        if (d["arm"], d["benchmark"], d["metric"]) == ("reasonmaxxer", "mean", "accuracy")
    )
    values = [row(found, arm, "mean", "accuracy")["value"] for arm in ("reasonmaxxer", "base")]
    assert gain["value"] == pytest.approx(values[0] - values[1])
    assert gain["base"] == "base"
    assert gain["p_corrected"] >= gain["p"]
    assert gain["statement"].startswith("higher (+")


def test_no_difference_is_said_in_words(run: dict[str, Any]) -> None:
    for difference in run["metrics"]["differences"]:
        expected = difference["p_corrected"] > 0.05
        assert difference["statement"].startswith("no difference shown") == expected


def test_the_table_holds_the_same_rows_as_the_json(run: dict[str, Any]) -> None:
    table = tables.read(run["folder"] / "metrics.parquet", "metrics").to_pylist()
    assert table == run["metrics"]["rows"]
    table = tables.read(run["folder"] / "differences.parquet", "differences").to_pylist()
    assert table == [{key: row[key] for key in table[0]} for row in run["metrics"]["differences"]]


def test_seeds_of_an_arm_are_one_line(tmp_path: Path) -> None:
    arms = {"base": 0.3, "reasonmaxxer": 0.6, "reasonmaxxer+seed=43": 0.55, "other+tau=1": 0.5}
    manifest = synthetic.make_run(tmp_path, arms=arms, training=False, **SMALL)
    found, _ = compute(manifest)
    line = row(found, "reasonmaxxer+seed=*", "chains", "accuracy")
    members = [row(found, a, "chains", "accuracy")["value"] for a in list(arms)[1:3]]
    assert line["value"] == pytest.approx(np.mean(members))
    assert line["seed"] is None
    assert found["differences"][0]["family"] == "single seeds, benchmarks"
    (gain,) = (
        d
        for d in found["differences"]
        if (d["arm"], d["benchmark"], d["metric"]) == ("reasonmaxxer+seed=*", "chains", "accuracy")
    )
    assert gain["family"] == "main table, benchmarks"
    assert gain["comparisons"] == 2  # the line alone, on two benchmarks
    assert [d["value"] for d in found["differences"] if d["arm"] == "reasonmaxxer+seed=*"]


def test_an_interval_over_seeds_is_never_narrower_than_over_problems(tmp_path: Path) -> None:
    """Seeds that agree to the last sample leave what the problems do not say."""
    arms = {"base": 0.3, "reasonmaxxer": 0.6}
    manifest = synthetic.make_run(tmp_path, arms=arms, training=False, **SMALL)
    one = manifest["arms"]["reasonmaxxer"]
    for seed in (43, 44):
        manifest["arms"][f"twin-{seed}"] = {**one, "seed": seed}
    found, _ = compute(manifest)
    for kind in ("rows", "differences"):
        rows = {(r["arm"], r["benchmark"], r["metric"]): r for r in found[kind]}
        for benchmark in ("chains", "single", "mean"):
            alone, together = (
                rows[arm, benchmark, "accuracy"] for arm in ("reasonmaxxer", "reasonmaxxer+seed=*")
            )
            assert together["value"] == pytest.approx(alone["value"])
            assert together["low"] <= alone["low"] + 1e-9
            assert together["high"] >= alone["high"] - 1e-9


def test_what_correction_takes_away_is_said_with_the_number_of_comparisons() -> None:
    row = {"metric": "accuracy", "value": 0.15, "low": 0.02, "high": 0.28, "p": 0.02}
    family = [dict(row) for _ in range(18)]
    corrected(family)
    assert family[0]["statement"] == (
        "no difference shown after correction for 18 comparisons "
        "(+15.0 points, 95% interval +2.0 to +28.0)"
    )
    corrected(family[:1])
    assert family[0]["statement"] == "higher (+15.0 points, 95% interval +2.0 to +28.0)"
    unsure = [{**row, "low": -0.02, "p": 0.2}]
    corrected(unsure)
    assert unsure[0]["statement"].startswith("no difference shown (+15.0")


def test_a_large_family_has_resamples_that_can_pass_its_correction() -> None:
    assert resamples(18) == 9_999
    smallest = 1 / (1 + resamples(504))
    assert 504 * smallest <= 0.05 / 2


# --- one protocol -----------------------------------------------------------------------------


def rewrite(path: str, change: Any, **config: Any) -> None:
    """The evaluation table again, with rows or settings changed."""
    rows = [change(dict(r)) for r in tables.rows(path, "evaluation")]
    made_by = tables.provenance_of(path, "evaluation")
    made_by["config"] = {**made_by["config"], **config}
    tables.write(path, "evaluation", [r for r in rows if r], made_by)


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (lambda r: {**r, "prompt_token_ids": [5]}, {}, "different prompts"),
        (lambda r: {**r, "problem_id": r["problem_id"] + "x"}, {}, "different problems"),
        (lambda r: r, {"temperature": 1.0}, "different settings"),
        (lambda r: r if r["problem_id"] != "single-0003" else None, {}, "different problems"),
    ],
)
def test_arms_evaluated_differently_cannot_share_a_table(
    tmp_path: Path, change: Any, config: dict[str, Any], message: str
) -> None:
    arms = {"base": 0.3, "reasonmaxxer": 0.6}
    manifest = synthetic.make_run(tmp_path, arms=arms, training=False, **SMALL)
    rewrite(manifest["arms"]["reasonmaxxer"]["evaluation"]["single"][0], change, **config)
    with pytest.raises(UserError, match=f"'base' and 'reasonmaxxer'.*{message}"):
        compute(manifest)


@pytest.mark.parametrize("drop", [("chains-0002", 3), ("chains-0000", 0)])
def test_a_missing_sample_is_an_error_that_names_the_file(
    tmp_path: Path, drop: tuple[str, int]
) -> None:
    manifest = synthetic.make_run(tmp_path, arms={"base": 0.3}, training=False, **SMALL)
    paths = manifest["arms"]["base"]["evaluation"]["chains"]
    for path in paths:
        rewrite(path, lambda r: r if (r["problem_id"], r["sample"]) != drop else None)
    with pytest.raises(UserError, match=f"{paths[0]}.*samples 0 to 3 of every problem"):
        compute(manifest)


def test_an_arm_under_its_own_prompt_is_shown_but_not_compared(tmp_path: Path) -> None:
    arms = {"base": 0.3, "grpo": 0.6}
    manifest = synthetic.make_run(tmp_path, arms=arms, training=False, **SMALL)
    for paths in manifest["arms"]["grpo"]["evaluation"].values():
        for path in paths:
            rewrite(path, lambda r: {**r, "prompt_token_ids": [7]})
    own = {"template": "chat", "path": manifest["model"]["path"]}
    manifest["arms"]["grpo"]["own_prompt"] = own
    found, figures = metrics(tmp_path, manifest)
    assert row(found, "grpo", "chains", "accuracy")["value"] > 0
    assert not [d for d in found["differences"] if d["arm"] == "grpo"]
    (arm,) = (arm for arm in figures["arms"] if arm["name"] == "grpo")
    assert arm["own_prompt"] == {"template": "chat", "shown_prompt": synthetic.WORDS[7]}


# --- what may be missing ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "metric", "value"),
    [
        ({"arms": {"base": 0.0, "reasonmaxxer": 0.0}}, "accuracy", 0.0),
        ({"arms": {"base": 1.0, "reasonmaxxer": 1.0}}, "accuracy", 1.0),
        ({"parseable": 0.0}, "accuracy-parsed", None),
        ({"parseable": 0.0}, "unparseable", 1.0),
        ({"benchmarks": {"chains": (1, 1), "single": (1, 4)}}, "length", ...),
        ({"training": False}, "accuracy", ...),
    ],
)
def test_poor_runs_have_figures_too(
    tmp_path: Path, case: dict[str, Any], metric: str, value: Any
) -> None:
    settings = {**SMALL, "arms": {"base": 0.3, "reasonmaxxer": 0.6}, **case}
    found, figures = metrics(tmp_path, synthetic.make_run(tmp_path, **settings))
    result = row(found, "base", "chains", metric)["value"]
    assert result == value or (value is ... and result is not None)
    assert figures["run"] == "synthetic"


def test_a_manifest_may_be_text_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text('{"run": "a"}', encoding="utf-8")
    assert read_manifest(str(path)) == read_manifest('{"run": "a"}') == {"run": "a"}
    with pytest.raises(UserError, match="--manifest: missing"):
        read_manifest("missing.json")


# --- what the page draws ----------------------------------------------------------------------


def test_excerpts_are_the_rollouts_themselves(run: dict[str, Any]) -> None:
    manifest, found = run["manifest"], run["figures"]["rollouts"]
    assert found
    rollouts = {
        (r["problem_id"], r["sample"]): r for r in tables.rows(manifest["rollouts"][0], "rollouts")
    }
    path = manifest["arms"]["reasonmaxxer"]["selection"]
    gates = {(r["problem_id"], r["sample"]): r for r in tables.rows(path, "selection")}
    for excerpt in found:
        key = (excerpt["problem_id"], excerpt["sample"])
        assert len(excerpt["tokens"]) == len(rollouts[key]["token_ids"]) == excerpt["length"]
        assert len(excerpt["entropy"]) == excerpt["length"]
        if key in gates:
            assert excerpt["gated"] == gates[key]["positions"]
        for choices in excerpt["alternatives"].values():
            assert len(choices) == 5
            assert sum(share for _, share in choices) == pytest.approx(1.0, abs=0.01)


def test_forks_are_counted_from_all_rollouts_with_the_same_beginning(run: dict[str, Any]) -> None:
    manifest, found = run["manifest"], run["figures"]["rollouts"]
    rollouts = list(tables.rows(manifest["rollouts"][0], "rollouts"))
    right = {
        (r["problem_id"], r["sample"]): r["verdict"] == "correct"
        for r in tables.rows(manifest["verdicts"][0], "verdicts")
    }
    forks = 0
    for excerpt in found:
        of_problem = [r for r in rollouts if r["problem_id"] == excerpt["problem_id"]]
        own = next(r for r in of_problem if r["sample"] == excerpt["sample"])["token_ids"]
        for at in excerpt["gated"]:
            here = [r for r in of_problem if r["token_ids"][:at] == own[:at]]
            ways = Counter(r["token_ids"][at] for r in here if len(r["token_ids"]) > at)
            shown = excerpt["forks"].get(str(at), [])
            assert (len(ways) > 1) == bool(shown)
            counts = sorted(ways.values(), reverse=True)[: len(shown)]
            assert [way["rollouts"] for way in shown] == counts
            for way in shown:
                forks += 1
                word = [r for r in here if synthetic.WORDS[r["token_ids"][at]] == way["token"]]
                outcomes = [right[r["problem_id"], r["sample"]] for r in word]
                assert way["correct"] == sum(outcomes)
                verdicts = [one["verdict"] == "correct" for one in way["continuations"]]
                assert sorted(verdicts) == sorted(set(outcomes))
                assert all(one["text"].startswith(way["token"]) for one in way["continuations"])
    assert forks > 10


def test_right_and_wrong_that_part_at_a_decision_come_first(run: dict[str, Any]) -> None:
    manifest, found = run["manifest"], run["figures"]["rollouts"]
    rollouts = list(tables.rows(manifest["rollouts"][0], "rollouts"))
    verdicts = list(tables.rows(manifest["verdicts"][0], "verdicts"))
    sides: dict[tuple[str, bool], list[list[int]]] = {}
    for row_, judged in zip(rollouts, verdicts, strict=True):
        key = (row_["problem_id"], judged["verdict"] == "correct")
        sides.setdefault(key, []).append(row_["token_ids"])
    at_decision = []
    for right, wrong in zip(found[::2], found[1::2], strict=True):
        name = right["problem_id"]
        assert name == wrong["problem_id"]
        assert right["verdict"] == "correct" != wrong["verdict"]
        parting = first_difference(right["tokens"], wrong["tokens"])
        both = product(sides[name, True], sides[name, False])
        assert parting == max(first_difference(*pair) for pair in both)
        at_decision.append(parting in right["gated"] and parting in wrong["gated"])
    assert {*at_decision} == {True, False}
    assert at_decision == sorted(at_decision, reverse=True)


def first_difference(one: list[Any], other: list[Any]) -> int:
    return next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)


def test_token_texts_join_to_the_decoded_text(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    text = "naïve 🂡 = \\boxed{½}\n漢字"
    ids = fast(text)["input_ids"]
    pieces = TokenTexts(fast).pieces(ids)
    assert len(pieces) == len(ids) == len(text.encode())
    assert "".join(pieces) == text


def test_pairs_show_base_and_trained_arm_on_the_same_problem(run: dict[str, Any]) -> None:
    found = run["figures"]["pairs"]
    assert {pair["benchmark"] for pair in found} == {"chains", "single"}
    for pair in found:
        base, trained = pair["sides"]
        assert (base["arm"], trained["arm"]) == ("base", "reasonmaxxer")
        right = (base["verdict"] == "correct", trained["verdict"] == "correct")
        names = {(False, True): "fixed", (True, False): "broken", (True, True): "both"}
        assert pair["outcome"] == names.get(right, "neither")


def test_distributions_count_every_position_and_problem(run: dict[str, Any]) -> None:
    figures, manifest = run["figures"], run["manifest"]
    entropy = tables.read(manifest["entropies"][0], "entropies")["entropy"].to_numpy()
    assert sum(figures["entropy"]["counts"]) == len(entropy) == figures["tokens"]["entropies"]
    assert figures["entropy"]["above"] == pytest.approx((entropy > 0.4).mean())
    verdicts = tables.read(manifest["verdicts"][0], "verdicts").to_pandas()
    right = verdicts[verdicts.verdict == "correct"].groupby("problem_id").size()
    counts = figures["pool"]["counts"]
    assert sum(counts) == verdicts.problem_id.nunique()
    assert [counts[n] for n in range(1, 7)] == [(right == n).sum() for n in range(1, 7)]


def test_warnings_name_what_was_left_out_and_cut_off(tmp_path: Path) -> None:
    manifest = synthetic.make_run(tmp_path, arms={"base": 0.3}, training=False, **SMALL)
    path = manifest["problems"]["train"]
    dropped = {"bad_references": {"train-9": "no number"}, "doubles": 2, "overlap": {"chains": 3}}
    tables.write(path, "problems", [], {**tables.provenance_of(path, "problems"), **dropped})
    for shard in manifest["arms"]["base"]["evaluation"]["single"]:
        rewrite(shard, lambda r: {**r, "finish_reason": "length"})
    _, figures = metrics(tmp_path, manifest)
    assert {
        "train: left out 1 problem whose reference does not verify against itself",
        "train: left out 2 problems that stood there twice",
        "train: left out 3 problems that stand in chains",
        "base on single: 100% of completions were cut off by the token limit (24)",
    } <= set(figures["warnings"])


def test_a_collapse_during_training_is_warned_of(tmp_path: Path) -> None:
    manifest = synthetic.make_run(tmp_path, arms={"base": 0.3, "reasonmaxxer": 0.5}, **SMALL)
    path = Path(manifest["arms"]["reasonmaxxer"]["checkpoint"])
    choice = json.loads(path.read_text(encoding="utf-8"))
    choice["checkpoints"][4] |= {"parseable": 0.12, "collapsed": True}
    path.write_text(json.dumps(choice), encoding="utf-8")
    _, figures = metrics(tmp_path, manifest)
    assert (
        "reasonmaxxer: collapsed at checkpoint 4 of 4 (parseable answers on validation fell from "
        "95% to 12%); checkpoint 3 was chosen"
    ) in figures["warnings"]


def test_a_control_that_collapsed_altogether_is_warned_of(tmp_path: Path) -> None:
    manifest = synthetic.make_run(tmp_path, arms={"base": 0.3, "no-anchor": 0.1}, **SMALL)
    path = Path(manifest["arms"]["no-anchor"]["checkpoint"])
    choice = json.loads(path.read_text(encoding="utf-8")) | {"chosen": 2, "collapsed": True}
    for row in choice["checkpoints"][1:]:
        row |= {"parseable": 0.12 / row["checkpoint"], "collapsed": True}
    path.write_text(json.dumps(choice), encoding="utf-8")
    _, figures = metrics(tmp_path, manifest)
    assert (
        "no-anchor: collapsed at every checkpoint (parseable answers on validation fell from 95% "
        "to 12% at most); its figures are those of checkpoint 2, the best of them"
    ) in figures["warnings"]


def test_problems_known_by_heart_are_counted_and_warned_of(tmp_path: Path) -> None:
    manifest = synthetic.make_run(tmp_path, arms={"base": 0.3}, training=False, **SMALL)
    found = {"chains": {"problems": 24, "completed": ["chains-0001", "chains-0002"]}}
    path = tmp_path / "memorization.json"
    path.write_text(json.dumps({"tail": 0.4, "benchmarks": found}), encoding="utf-8")
    manifest["memorization"] = str(path)
    result, figures = metrics(tmp_path, manifest)
    share = row(result, "base", "chains", "completed-verbatim")
    expected = stats.binomtest(2, 24).proportion_ci(method="wilson")
    assert (share["low"], share["high"]) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert share["value"] == pytest.approx(2 / 24)
    said = "chains: the base completes 2 of 24 problems verbatim; it may know them by heart"
    assert said in figures["warnings"]


def test_a_second_opinion_is_counted_and_its_disagreements_are_shown(tmp_path: Path) -> None:
    manifest = synthetic.make_run(tmp_path, arms={"base": 0.4}, training=False, **SMALL)
    rows = []
    for path in manifest["arms"]["base"]["evaluation"]["chains"]:
        shard = list(tables.rows(path, "evaluation"))
        for i, sample in enumerate(shard):  # asked of every third, math-verify says "correct"
            sample["second"] = "correct" if i % 3 == 0 else None
        tables.write(path, "evaluation", shard, tables.provenance_of(path, "evaluation"))
        rows += shard
    found, figures = metrics(tmp_path, manifest)
    apart = [r for r in rows if r["second"] and r["verdict"] != "correct"]
    gained = len(apart) / len(rows)
    accuracy = row(found, "base", "chains", "accuracy")["value"]
    second = row(found, "base", "chains", "accuracy-second")["value"]
    assert second == pytest.approx(accuracy + gained)
    assert row(found, "base", "chains", "disagreement")["value"] == pytest.approx(gained)
    assert row(found, "base", "single", "disagreement")["value"] == 0
    shown = figures["disagreements"]
    assert 0 < len(shown) <= 10
    assert {(r["problem_id"], r["sample"]) for r in shown} <= {
        (r["problem_id"], r["sample"]) for r in apart
    }
    assert all(r["second"] == "correct" and r["reference"] for r in shown)


# --- ablations and the footprint analysis ---------------------------------------------------------


def test_the_footprints_figures_are_rows_of_the_table_too(tmp_path: Path) -> None:
    manifest = synthetic.make_run(tmp_path, arms=ARMS, **SMALL)
    found, _ = metrics(tmp_path, synthetic.write_footprint(tmp_path, manifest, "grpo"))
    rows = tables.read(tmp_path / "metrics.parquet", "metrics").to_pylist()
    values = {(row["benchmark"], row["metric"]): row["value"] for row in rows}
    greedy = found["footprint"]["texts"]["greedy"]
    assert values["footprint:greedy", "reranked_share"] == greedy["reranked_share"]["value"]
    assert ("footprint:interventions", "gate:recovery") in values
    assert ("footprint:pivotality", "auc") in values
    assert ("footprint:capability", "pass@32") in values


def test_an_ablation_with_seeds_is_one_row_each_seed_against_the_same_seed(tmp_path):
    names = [f"{a}{seed}" for a in ("reasonmaxxer", "random-gate") for seed in ("", "+seed=43")]
    manifest = synthetic.make_run(tmp_path, arms={"base": 0.3, **dict.fromkeys(names, 0.5)})
    found, _ = compute(manifest)
    (only,) = found["ablations"]
    means = {
        r["arm"]: r["value"]
        for r in found["rows"]
        if (r["benchmark"], r["metric"]) == ("mean", "accuracy")
    }
    gains = [means[names[2]] - means[names[0]], means[names[3]] - means[names[1]]]
    assert only["arm"] == "random-gate+seed=*"
    assert only["value"] == pytest.approx(np.mean(gains))
    assert (only["low"] > 0 or only["high"] < 0) == (only["p"] <= 0.05)


def test_ablations_are_held_against_the_main_arm_where_both_were_evaluated(tmp_path):
    arms = {"base": 0.3, "reasonmaxxer": 0.6, "reasonmaxxer+seed=43": 0.6, "random-gate": 0.4}
    manifest = synthetic.make_run(tmp_path, arms=arms)
    only, *others = manifest["benchmarks"]
    for benchmark in others:
        del manifest["arms"]["random-gate"]["evaluation"][benchmark]
    found, _ = compute(manifest)
    (row,) = found["ablations"]
    assert (row["arm"], row["base"], row["benchmarks"]) == ("random-gate", "reasonmaxxer", [only])
    accuracy = [r for r in found["rows"] if r["metric"] == "accuracy"]
    rows = {(r["arm"], r["benchmark"]): r["value"] for r in accuracy}
    gap = rows["random-gate", only] - rows["reasonmaxxer", only]
    assert row["value"] == pytest.approx(gap)
    assert row["low"] < gap < row["high"]
    assert row["statement"].startswith("lower")
