"""The footprint analysis against plain one-sequence-at-a-time versions and other computations."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import reference
import synthetic
import torch
from rollout_rows import random_rollouts
from scipy import stats

from reasonmaxxer import __main__, tables
from reasonmaxxer.analysis import effects
from reasonmaxxer.analysis.footprint import intervention_figures, text_figures
from reasonmaxxer.config import ModelConfig, PromptConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.generation.engine import Hardware, Prompt, open_engine
from reasonmaxxer.generation.prompts import decode, load_tokenizer
from reasonmaxxer.generation.teacher import load_pair
from reasonmaxxer.modeling.batching import plan_batches
from reasonmaxxer.stages.footprint import footprint
from reasonmaxxer.stages.interventions import (
    Settings,
    _Cached,
    cached_tokens,
    decode_all,
    random_positions,
    uniform,
)
from reasonmaxxer.stages.pivotality import (
    ContinuationsJob,
    branches,
    continued,
    mixed_problems,
    sample_positions,
)

ENDS = frozenset({2, 7, 11})


def shaken(folder: Path, out: Path, scale: float) -> Path:
    """A copy of a model with noise on its weights: a teacher that often agrees with it."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += scale * torch.randn_like(weight)
    model.save_pretrained(out)
    return out


def model_config(path: Path) -> ModelConfig:
    return ModelConfig(path=str(path), dtype="float32", max_length=128)


@pytest.fixture(scope="module", params=["Llama", "Mistral"])
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Base and teacher: loaded by us, and in float64 for the plain version."""
    folder = tmp_path_factory.mktemp(request.param)
    base = reference.save_tiny(folder / "base", request.param)
    teacher = shaken(base, folder / "teacher", 0.05)
    pair = load_pair(model_config(base), model_config(teacher))
    return pair, reference.load(base), reference.load(teacher)


def texts_of(seed: int, count: int = 9) -> list[dict[str, Any]]:
    lengths = np.random.default_rng(seed).integers(1, 20, size=(count, 2))
    return random_rollouts(lengths.tolist(), seed, samples=2)


def plain_rank(row: torch.Tensor, token: int) -> int:
    return sorted(range(len(row)), key=lambda v: (-row[v].item(), v)).index(token) + 1


# --- the footprint ------------------------------------------------------------------------------


def plain_footprint(
    base: Any, teacher: Any, texts: list[dict[str, Any]], adapter: Any = None
) -> dict[tuple[str, int, int], tuple[int, int, int, float]]:
    found = {}
    for text in texts:
        ids = text["prompt_token_ids"] + text["token_ids"]
        ours, theirs = reference.logits(base, ids), reference.logits(teacher, ids, adapter)
        for position in range(len(text["token_ids"])):
            t = len(text["prompt_token_ids"]) + position - 1
            promoted = int(theirs[t].argmax())
            found[text["problem_id"], text["sample"], position] = (
                int(ours[t].argmax()),
                promoted,
                plain_rank(ours[t], promoted),
                reference.entropy(ours[t]),
            )
    return found


def compare(rows: list[dict[str, Any]], plain: dict[Any, tuple[int, int, int, float]]) -> None:
    assert len(rows) == len(plain)
    for row in rows:
        own, promoted, rank, entropy = plain[row["problem_id"], row["sample"], row["position"]]
        assert (row["base_token"], row["teacher_token"], row["rank"]) == (own, promoted, rank)
        assert row["entropy"] == pytest.approx(entropy, abs=1e-4)


def test_the_footprint_is_that_of_one_sequence_at_a_time(models: Any) -> None:
    pair, base, teacher = models
    texts = texts_of(0)
    rows = list(footprint(pair, texts, batch_tokens=64))
    compare(rows, plain_footprint(base, teacher, texts))
    kinds = {1 if r["rank"] == 1 else 2 if r["rank"] <= 5 else 3 for r in rows}
    assert kinds == {1, 2, 3}


def test_a_trained_arm_is_a_teacher_through_its_adapter(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    from transformers import AutoModelForCausalLM

    path = reference.save_tiny(tmp_path / "base")
    torch.manual_seed(3)
    settings = LoraConfig(
        r=2, lora_alpha=4, target_modules=["q_proj", "o_proj"], init_lora_weights=False
    )
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(path), settings)
    adapted.save_pretrained(tmp_path / "adapter")
    adapter = reference.Adapter.from_peft(get_peft_model_state_dict(adapted), 2.0)
    pair = load_pair(model_config(path), model_config(path), tmp_path / "adapter")
    base, texts = reference.load(path), texts_of(1, 4)
    with torch.no_grad():
        compare(list(footprint(pair, texts)), plain_footprint(base, base, texts, adapter))


def test_models_of_different_vocabularies_are_not_compared(tmp_path: Path) -> None:
    one, other = (reference.save_tiny(tmp_path / str(size), vocab_size=size) for size in (97, 98))
    with pytest.raises(UserError, match=r"footprint\.teacher: .* has 98 tokens and .* 97"):
        load_pair(model_config(one), model_config(other))


def test_shares_and_ratios_are_those_of_a_data_frame(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "problem_id": [f"p{n}" for n in rng.integers(30, size=4000)],
            "sample": np.int32(0),
            "position": np.arange(4000, dtype=np.int32),
            "rank": rng.choice([1, 2, 3, 5, 6, 40], 4000, p=[0.9, 0.04, 0.03, 0.01, 0.01, 0.01]),
        }
    )
    frame["entropy"] = rng.exponential(np.where(frame["rank"] > 1, 1.0, 0.1))
    tokens = dict.fromkeys(("token_id", "base_token", "teacher_token"), [0] * 4000)
    tables.write(tmp_path / "t.parquet", "footprint", {**frame.to_dict("list"), **tokens})
    found = text_figures(str(tmp_path / "t.parquet"))
    promoted, reranked = frame[frame["rank"] > 1], frame[frame["rank"].between(2, 5)]
    unchanged = frame[frame["rank"] == 1]
    expected = {
        "unshifted_share": len(unchanged) / 4000,
        "reranked_share": len(reranked) / 4000,
        "shifted_share": (frame["rank"] > 5).mean(),
        "top5_share": len(reranked) / len(promoted),
        "mean_rank": promoted["rank"].mean(),
        "entropy_reranked": reranked["entropy"].mean(),
        "entropy_ratio": reranked["entropy"].mean() / unchanged["entropy"].mean(),
    }
    assert {key: found[key]["value"] for key in expected} == pytest.approx(expected, rel=1e-6)
    for key, value in expected.items():
        assert found[key]["low"] < value < found[key]["high"]
    assert found["ranks"] == [(frame["rank"] == r).sum() for r in (2, 3, 4, 5)] + [
        (frame["rank"] > 5).sum()
    ]


def test_a_teacher_that_never_departs_leaves_an_upper_bound_and_no_ratio(tmp_path: Path) -> None:
    rows = [
        {
            **{"problem_id": f"p{n}", "sample": 0, "position": 0, "token_id": 1, "entropy": 0.1},
            **{"base_token": 1, "teacher_token": 1, "rank": 1},
        }
        for n in range(20)
    ]
    tables.write(tmp_path / "t.parquet", "footprint", rows)
    found = text_figures(str(tmp_path / "t.parquet"))
    assert found["reranked_share"]["value"] == 0
    assert 0.1 < found["reranked_share"]["high"] < 0.2  # none of 20 problems
    assert found["entropy_ratio"] is None
    assert found["top5_share"] is None


# --- interventions ------------------------------------------------------------------------------

SETTINGS = Settings(tau=1.5, top_tokens=4, seed=5, max_tokens=14, ends=ENDS, edits=(1, 3))


def plain_decode(
    base: Any,
    teacher: Any,
    prompt: Prompt,
    where: str,
    what: str,
    positions: frozenset[int],
    writer: str = "base",
    most: int = 99,
) -> tuple[list[int], list[int], list[int]]:
    """One problem, whole sequences each time: ids, touched positions, changed positions."""
    ids: list[int] = []
    touched, changed = [], []
    while len(ids) < SETTINGS.max_tokens and (not ids or ids[-1] not in ENDS):
        row = reference.logits(base, prompt.token_ids + ids)[-1]
        own = int(row.argmax())
        promoted = int(reference.logits(teacher, prompt.token_ids + ids)[-1].argmax())
        if writer == "teacher":
            own, promoted = promoted, own
        here = {
            "nowhere": False,
            "disagreement": own != promoted,
            "gate": reference.entropy(row) > SETTINGS.tau,
            "random": len(ids) in positions,
        }[where]
        token = own
        if here and len(touched) < most:
            draw = uniform(SETTINGS.seed, prompt.problem_id, len(ids))
            likeliest = sorted(range(len(row)), key=lambda v: -row[v].item())[: SETTINGS.top_tokens]
            token = promoted if what == "other" else likeliest[math.floor(4 * draw)]
            touched.append(len(ids))
            if token != own:
                changed.append(len(ids))
        ids.append(token)
    return ids, touched, changed


@torch.no_grad()
def test_interventions_are_those_of_one_sequence_at_a_time(models: Any) -> None:
    pair, base, teacher = models
    prompts = [
        Prompt(f"p{index}", text["prompt_token_ids"]) for index, text in enumerate(texts_of(2, 6))
    ]
    decoded = dict(decode_all(pair, prompts, SETTINGS, batch_tokens=128))
    arms = {
        "base": ("nowhere", "other"),
        "oracle": ("disagreement", "other"),
        "gate": ("gate", "other"),
        "random-positions": ("random", "other"),
        "oracle-random-token": ("disagreement", "random"),
        "gate-random-token": ("gate", "random"),
        "base+1": ("disagreement", "other", "base", 1),
        "base+3": ("disagreement", "other", "base", 3),
        "teacher+1": ("disagreement", "other", "teacher", 1),
        "teacher+3": ("disagreement", "other", "teacher", 3),
    }
    assert decoded.keys() == arms.keys()
    lengths = set()
    for name, (where, what, *limit) in arms.items():
        for prompt, gate, text in zip(prompts, decoded["gate"], decoded[name], strict=True):
            count, length = len(gate.touched), len(gate.token_ids)
            drawn = random_positions(SETTINGS.seed, prompt.problem_id, count, length)
            assert len(drawn) == count
            plain = plain_decode(base, teacher, prompt, where, what, drawn, *limit)
            assert (text.token_ids, text.touched, text.changed) == plain
            lengths.add(len(text.token_ids))
    assert len(lengths) > 2  # texts that end early leave their batch
    assert any(text.changed for text in decoded["gate"])
    assert {len(text.touched) for text in decoded["teacher+3"]} & {2, 3}


@torch.no_grad()
def test_the_oracle_writes_the_teachers_own_text(models: Any) -> None:
    pair, _, teacher = models
    prompts = [Prompt("p", [5, 6, 8]), Prompt("q", [9, 10, 12, 13, 14])]
    oracle = dict(decode_all(pair, prompts, SETTINGS))["oracle"]
    for prompt, text in zip(prompts, oracle, strict=True):
        ids: list[int] = []
        while len(ids) < SETTINGS.max_tokens and (not ids or ids[-1] not in ENDS):
            ids.append(int(reference.logits(teacher, prompt.token_ids + ids)[-1].argmax()))
        assert text.token_ids == ids


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base and teacher with a tokenizer, problems and a prompt: what the commands take."""
    folder = tmp_path_factory.mktemp("worded")
    base = reference.save_tiny(
        folder / "base", vocab_size=len(synthetic.WORDS), eos_token_id=synthetic.EOS
    )
    shaken(base, folder / "teacher", 0.1)
    for name in ("base", "teacher"):
        synthetic.save_tokenizer(folder / name)
    synthetic.write_problems(folder, "short", 5)
    (folder / "prompt.txt").write_text("Ada {problem}\n", encoding="utf-8")
    return folder


def test_the_commands_decode_until_a_stop_string_and_judge(worded: Path) -> None:
    prompt = {"template": str(worded / "prompt.txt"), "stop": ["has"]}
    models = [
        json.dumps({"path": str(worded / name), "dtype": "float32"}) for name in ("base", "teacher")
    ]
    section = {"teacher": "t", "benchmark": "short", "problems": 4, "tau": 2.0, "edits": [1]}
    __main__.main(
        [
            *("interventions", "--problems", str(worded / "problems/short.parquet")),
            *("--prompt", json.dumps(prompt), "--config", json.dumps(section)),
            *("--model-config", models[0], "--teacher-config", models[1]),
            *("--max-tokens", "30", "--out", str(worded / "decoded.parquet")),
        ]
    )
    __main__.main(
        [
            *("verdicts", "--table", "interventions", "--config", "{}"),
            *("--completions", str(worded / "decoded.parquet")),
            *("--problems", str(worded / "problems/short.parquet")),
            *("--out", str(worded / "judged.parquet")),
        ]
    )
    rows = list(tables.rows(worded / "judged.parquet", "interventions"))
    assert len(rows) == (6 + 2) * 4
    for row in rows:
        assert "has" not in row["text"]
        assert row["finish_reason"] == "stop" or len(row["token_ids"]) == 30
        assert set(row["changed"]) <= set(row["touched"]) <= set(range(len(row["token_ids"])))
        assert row["verdict"] in ("correct", "incorrect", "unparseable")
    assert any(
        synthetic.IDS["has"] not in row["token_ids"] and row["finish_reason"] == "stop"
        for row in rows
    )


def write_interventions(path: Path, right: dict[str, list[bool]], touched: int = 2) -> Path:
    rows = [
        {
            **{"intervention": name, "problem_id": f"p{n:03}", "prompt_token_ids": [1]},
            **{"token_ids": [3] * 10, "finish_reason": "stop", "text": ""},
            **{"touched": list(range(touched)), "changed": [0]},
            **{"verdict": "correct" if is_right else "incorrect", "answer": None},
            **{"rule": "", "reason": ""},
        }
        for name, of_name in right.items()
        for n, is_right in enumerate(of_name)
    ]
    tables.write(path, "interventions", rows)
    return path


def test_recovery_is_a_share_of_the_oracles_gain(tmp_path: Path) -> None:
    right = {
        "base": [n < 20 for n in range(100)],
        "oracle": [n < 60 for n in range(100)],
        "gate": [n < 50 for n in range(100)],
        "random-positions": [n < 20 for n in range(100)],
    }
    path = write_interventions(tmp_path / "i.parquet", right)
    found = intervention_figures(str(path))
    rows = {row["name"]: row for row in found["rows"]}
    assert found["gain"]["value"] == pytest.approx(0.4)
    assert rows["gate"]["recovery"]["value"] == pytest.approx(0.75)
    assert 0.5 < rows["gate"]["recovery"]["low"] < 0.75 < rows["gate"]["recovery"]["high"] < 1
    nothing = rows["random-positions"]["recovery"]  # none of 100 problems differs
    assert nothing["value"] == 0
    assert -0.12 < nothing["low"] < -0.05 < 0.05 < nothing["high"] < 0.12
    assert rows["gate"]["touched"]["value"] == pytest.approx(0.2)
    assert rows["gate"]["changed"]["value"] == pytest.approx(0.1)


def test_the_curve_starts_at_each_models_own_text(tmp_path: Path) -> None:
    solved = {
        "base": 20,
        "oracle": 60,
        "base+1": 30,
        "base+4": 55,
        "teacher+1": 50,
        "teacher+4": 25,
    }
    right = {name: [n < count for n in range(100)] for name, count in solved.items()}
    found = intervention_figures(str(write_interventions(tmp_path / "i.parquet", right)))
    curve = {(point["writer"], point["edits"]): point["value"] for point in found["curve"]}
    base, teacher = {0: 0.2, 1: 0.3, 4: 0.55}, {0: 0.6, 1: 0.5, 4: 0.25}
    assert curve == {
        **{("base", edits): value for edits, value in base.items()},
        **{("teacher", edits): value for edits, value in teacher.items()},
    }
    assert {row["name"] for row in found["rows"]} == {"base", "oracle"}


def test_without_a_gain_nothing_is_recovered(tmp_path: Path) -> None:
    right = {"base": [True, False] * 10, "oracle": [False, True] * 10, "gate": [True] * 20}
    found = intervention_figures(str(write_interventions(tmp_path / "i.parquet", right)))
    assert [row["recovery"] for row in found["rows"]] == [None] * 3


# --- pivotality ---------------------------------------------------------------------------------


def sample_of(seed: int, count: int = 80) -> effects.Positions:
    rng = np.random.default_rng(seed)
    entropy = np.round(rng.exponential(0.5, count), 1)  # with ties
    return effects.Positions(
        problem=np.array([f"p{n}" for n in rng.integers(12, size=count)]),
        entropy=entropy,
        gated=entropy > 0.6,
        weight=rng.integers(1, 5, count).astype(float),
        effect=np.clip(rng.normal(0.3 + 0.3 * entropy, 0.3), 0, 1),
        stake=rng.uniform(0, 0.3, count),
    )


def test_the_auc_is_that_of_the_rank_sum_over_repeated_positions() -> None:
    found = sample_of(0)
    times = found.weight.astype(int)
    entropy, pivotal = np.repeat(found.entropy, times), np.repeat(found.effect >= 0.5, times)
    ours, theirs = entropy[pivotal], entropy[~pivotal]
    expected = stats.mannwhitneyu(ours, theirs).statistic / (len(ours) * len(theirs))
    estimate = effects.summary(found, 0.5)["auc"]
    assert estimate is not None
    assert estimate.value == pytest.approx(expected)
    assert 0.5 < estimate.low < estimate.value < estimate.high < 1


def test_precision_and_recall_are_those_of_a_data_frame() -> None:
    found = sample_of(1)
    frame = pd.DataFrame({**vars(found), "pivotal": found.effect >= 0.5})
    weight, gate = frame["weight"], frame["gated"]
    expected = {
        "precision": weight[gate & frame["pivotal"]].sum() / weight[gate].sum(),
        "base_rate": weight[frame["pivotal"]].sum() / weight.sum(),
        "recall": weight[gate & frame["pivotal"]].sum() / weight[frame["pivotal"]].sum(),
        "stake": (weight * frame["stake"])[gate].sum() / (weight * frame["stake"]).sum(),
        "budget": weight[gate].sum() / weight.sum(),
    }
    summary = effects.summary(found, 0.5)
    assert {key: summary[key].value for key in expected} == pytest.approx(expected)
    for key, value in expected.items():
        assert 0 <= summary[key].low < value < summary[key].high <= 1


def test_intervals_of_the_auc_hold_the_truth() -> None:
    """Clusters of positions with a common shift; the truth comes from many of them."""

    def draw(rng: np.random.Generator, problems: int) -> Any:
        shift = np.repeat(rng.normal(0, 0.5, problems), 8)
        pivotal = rng.random(8 * problems) < 0.3
        return rng.normal(pivotal + shift), pivotal, np.repeat(np.arange(problems), 8).astype(str)

    scores, pivotal, _ = draw(np.random.default_rng(0), 20_000)
    ours, theirs = scores[pivotal], scores[~pivotal]
    truth = stats.mannwhitneyu(ours, theirs).statistic / (len(ours) * len(theirs))
    held = 0
    for seed in range(1, 201):
        scores, pivotal, group = draw(np.random.default_rng(seed), 40)
        estimate = effects.auc(scores, pivotal, np.ones(len(scores)), group)
        held += estimate.low <= truth <= estimate.high
    assert 180 <= held <= 199  # 95% of 200, give or take three standard errors


def test_without_pivotal_positions_there_is_nothing_to_rank() -> None:
    found = effects.summary(sample_of(2), 2.0)
    assert found["auc"] is None
    assert found["recall"] is None
    assert found["precision"].value == 0


def test_effect_and_stake_of_a_position() -> None:
    place = {"problem_id": "p", "sample": 0, "position": 3, "entropy": 1.0, "gated": True}
    rows = [
        {**place, "weight": 2.0, "logprob": math.log(p), "continuations": 10, "correct": right}
        for p, right in ((0.6, 9), (0.3, 1), (0.1, 5))
    ]
    found = effects.positions(rows)
    mean = 0.6 * 0.9 + 0.3 * 0.1 + 0.1 * 0.5
    assert found.effect.tolist() == pytest.approx([0.8])
    expected = 0.6 * (0.9 - mean) + 0.3 * (mean - 0.1) + 0.1 * (mean - 0.5)
    assert found.stake.tolist() == pytest.approx([expected])


@pytest.fixture(scope="module")
def pool(worded: Path) -> dict[str, Any]:
    """Rollouts, verdicts and entropies of a made-up pool."""
    return synthetic.write_pool(worded, np.random.default_rng(4), 12, 6, 0.95, 16)


def test_positions_are_drawn_from_both_sides_of_the_threshold(pool: dict[str, Any]) -> None:
    verdicts = tables.read(pool["verdicts"][0], "verdicts").to_pandas()
    rates = verdicts["verdict"].eq("correct").groupby(verdicts["problem_id"]).mean()
    mixed = mixed_problems([Path(p) for p in pool["verdicts"]])
    assert mixed == set(rates[(rates > 0) & (rates < 1)].index)
    frame = tables.read(pool["entropies"][0], "entropies").to_pandas()
    frame = frame[frame["problem_id"].isin(mixed)]
    rows = sample_positions([Path(p) for p in pool["entropies"]], mixed, 0.3, 20, seed=1)
    for inside in (True, False):
        drawn = [row for row in rows if row["gated"] is inside]
        assert len(drawn) == 10
        assert all((row["entropy"] > 0.3) is inside for row in drawn)
        size = ((frame["entropy"] > 0.3) == inside).sum()
        assert sum(row["weight"] for row in drawn) == pytest.approx(size)
    with pytest.raises(UserError, match="no position has an entropy above it"):
        sample_positions([Path(p) for p in pool["entropies"]], mixed, 9.0, 20, seed=1)


def test_continuations_keep_the_text_before_them_and_the_limit(
    worded: Path, pool: dict[str, Any]
) -> None:
    model = ModelConfig(path=str(worded / "base"), dtype="float32", max_length=128)
    tokenizer = load_tokenizer(model)
    mixed = mixed_problems([Path(p) for p in pool["verdicts"]])
    positions = sample_positions([Path(p) for p in pool["entropies"]], mixed, 0.3, 6, seed=3)
    positions[0]["top_ids"][1] = synthetic.EOS
    rollouts = {
        (row["problem_id"], row["sample"]): row
        for row in tables.rows(pool["rollouts"][0], "rollouts")
    }
    found = branches(positions, rollouts, 2)
    job = ContinuationsJob(
        engine="transformers", continuations=3, max_tokens=18, tau=0.3, temperature=1.0
    )
    engine = open_engine("transformers", model, Hardware())
    rows = list(continued(engine, found, job, PromptConfig(), {synthetic.EOS}, tokenizer, 64))
    assert len(rows) == 3 * (len(found) - 1) + 1
    for row in rows:
        rollout = rollouts[row["problem_id"], row["sample"]]
        before = [*rollout["token_ids"][: row["position"]], row["token_id"]]
        assert row["text"].startswith(decode(before, tokenizer))
        text = row["text"].replace(synthetic.HOSTILE, "x").replace(".", " .")
        size = len([word for word in text.split(" ") if word])
        assert (row["finish_reason"] == "length") == (size == 18)
        assert size <= 18


@pytest.mark.parametrize(
    ("model", "teacher", "texts"),
    # Bytes of both models' keys and values of a token: Qwen2.5-1.5B, 7B, a small model.
    [(28 * 2 * 2 * 128 * 2, 1.5e9 * 4, 64), (28 * 4 * 2 * 128 * 2, 7.6e9 * 4, 24), (1, 0, 128)],
)
def test_a_gpu_decodes_as_many_texts_at_once_as_its_memory_allows(model, teacher, texts):
    """On 80 GB, with texts of up to 7,300 tokens; never more than 128."""
    tokens = cached_tokens(int(80e9 - teacher), 2 * model, 7300)
    (first, *_) = plan_batches([7300] * 500, tokens, tokens)
    assert texts <= len(first) <= 128


def test_what_a_token_takes_in_the_cache_is_read_from_the_cache(models: Any) -> None:
    base = models[0].base
    shape = base.model.config
    heads = shape.num_key_value_heads * shape.hidden_size // shape.num_attention_heads
    assert _Cached(base, [[0]]).nbytes == 2 * shape.num_hidden_layers * heads * 4


@pytest.mark.parametrize("budget", [1, 500, 16384])
def test_padded_batches_hold_every_sequence_once_within_the_budget(budget):
    lengths = np.random.default_rng(0).integers(1, 400, 500).tolist()
    batches = plan_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(500))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert longest * len(batch) <= budget or len(batch) == 1
        assert 1 - sum(lengths[i] for i in batch) / (longest * len(batch)) <= 0.05 + 1e-9
    area = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert 1 - sum(lengths) / area < 0.05  # of all batches together
