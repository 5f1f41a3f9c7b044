"""A run's tables, made up: for tests of metrics and report without a model.

`make_run(folder)` writes every table the manifest names and returns the manifest. Keywords make
the cases a page has to survive: one problem, nothing correct, nothing parseable, no training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reasonmaxxer import tables
from reasonmaxxer.tables.provenance import provenance

HOSTILE = "</script><img src=x onerror=\"document.title='hit'\">"
WORDS = [
    *("<unk>", "<eos>", "Ada", "has", "Bo", "so", "then", "or", "twice", "adds", "gives"),
    *("=", "+", "\\boxed{", "}", ".", "héllo", "🂡", "\u2028", "<!--", HOSTILE),
    *(str(number) for number in range(100)),
    *("B", "C"),  # letters of choice
]
IDS = {word: index for index, word in enumerate(WORDS)}
EOS = IDS["<eos>"]
MANY = 64  # samples of the capability part
SWEPT = {"tau": "selection.tau", "rank": "training.rank"}
RATES = {
    "base": 0.35,
    "reasonmaxxer": 0.55,
    "reasonmaxxer+seed=43": 0.57,
    "reasonmaxxer+seed=44": 0.53,
    "reasonmaxxer+tau=0.2": 0.54,
    "reasonmaxxer+tau=0.8": 0.50,
    "random-gate": 0.45,
    "positive-only": 0.44,
    "grpo": 0.58,
}


def make_run(
    folder: Path,
    *,
    arms: dict[str, float] | None = None,
    benchmarks: dict[str, tuple[int, int]] | None = None,
    pool: tuple[int, int] = (40, 20),
    parseable: float = 0.95,
    training: bool = True,
    length: int = 40,
) -> dict[str, Any]:
    """Write a run's tables under `folder`; the manifest that leads to them.

    `arms` gives each arm's accuracy, `benchmarks` (problems, samples), `pool` the same for the
    rollouts; without `training` there is no pool and no trained arm's log.
    """
    rng = np.random.default_rng(7)
    arms = RATES if arms is None else arms
    benchmarks = benchmarks or {"chains": (60, 8), "word-sums": (40, 8), "single": (80, 1)}
    save_tokenizer(folder / "model")
    problems = {"train": pool[0], "validation": 10, **{b: n for b, (n, _) in benchmarks.items()}}
    for split, count in problems.items():
        write_problems(folder, split, count)
    manifest: dict[str, Any] = {
        "run": "synthetic",
        "model": {"path": str(folder / "model"), "revision": None},
        "config": {"run": "synthetic", "training": {"seed": 42}},
        "arms": {},
        "benchmarks": {
            name: {
                **{"title": name.capitalize(), "samples": samples, "temperature": 0.6},
                **{"top_p": 0.95, "max_tokens": 2 * length, "prompt": "config/prompts/lab.txt"},
            }
            for name, (_, samples) in benchmarks.items()
        },
        "problems": {split: str(folder / f"problems/{split}.parquet") for split in problems},
        **{"rollouts": [], "verdicts": [], "entropies": []},
    }
    if training:
        manifest |= write_pool(folder, rng, *pool, parseable, length)
    for name, rate in arms.items():
        kind = "base" if name == "base" else "checkpoint" if name == "grpo" else "trained"
        arm = {"title": None, **about(name, kind)}
        arm["evaluation"] = {
            benchmark: write_evaluation(folder, name, benchmark, *size, rate, parseable, length)
            for benchmark, size in benchmarks.items()
        }
        keys = ("selection", "selection_summary", "training", "validation", "checkpoint")
        arm |= dict.fromkeys(keys) | {"rollouts": [], "entropies": [], "jobs": {}}
        if training and kind == "trained":
            arm |= write_training(folder, name, manifest, rng)
            arm |= {stage: manifest[stage] for stage in ("rollouts", "entropies")}
        manifest["arms"][name] = arm
    return manifest


def about(name: str, kind: str) -> dict[str, Any]:
    """What a manifest says of an arm, from its name in this file: `arm+seed=2`, `arm+tau=0.4`."""
    line, _, end = name.partition("+seed=")
    start, _, point = line.partition("+")
    key, _, value = point.partition("=")
    own = {"random-gate": {"selection.gate": "random"}}
    own |= {"positive-only": {"selection.advantages": "positive"}}
    changed = {} if start == "reasonmaxxer" else own.get(start, {"training.dropout": len(start)})
    swept = {"arm": start, "key": SWEPT[key], "value": float(value), "own": 0.4} if point else None
    changed |= {SWEPT[key]: float(value)} if point else {}
    seed = int(end or 42) if kind in ("trained", "grpo") else None
    changed = changed if kind == "trained" else {}
    return {"kind": kind, "changed": changed, "line": line, "swept": swept, "seed": seed}


def save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(IDS, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")
    fast.save_pretrained(folder)


def made_by(stage: str, **config: Any) -> dict[str, Any]:
    return provenance("metrics", config, seed=42) | {"stage": stage}


def write_problems(folder: Path, split: str, count: int) -> None:
    rows = [
        {
            "problem_id": f"{split}-{index:04}",
            "problem": f"Ada has {index} cards. {HOSTILE if index == 1 else 'How many?'}",
            **{"answer": str(index), "source": "synthetic", "level": str(index % 3)},
        }
        for index in range(count)
    ]
    path = folder / f"problems/{split}.parquet"
    tables.write(path, "problems", rows, made_by("problems"))


def completion(
    rng: np.random.Generator,
    problem: str,
    sample: int,
    verdict: str,
    length: int,
    opening: Sequence[int] = (),
) -> dict[str, Any]:
    """A completion row; the first sample of every problem holds the hostile word."""
    count = int(rng.integers(length // 2, length))
    body = rng.integers(2, len(WORDS) - 100, size=count).tolist()
    body = [token if WORDS[token] != "\\boxed{" else IDS["so"] for token in body]
    if sample == 0:
        body[3] = IDS[HOSTILE]
    body[: len(opening)] = opening
    number = int(problem.rsplit("-", 1)[1]) if verdict == "correct" else int(rng.integers(5))
    answer = None if verdict == "unparseable" else str(number)
    if answer is not None:
        body += [IDS["\\boxed{"], IDS[str(number % 100)], IDS["}"]]
    ids = [*body, EOS]
    return {
        **{"problem_id": problem, "sample": sample, "seed": 42},
        "prompt_token_ids": [2, 3, IDS[str(int(problem.rsplit("-", 1)[1]) % 100)]],
        **{"token_ids": ids, "logprobs": (-rng.exponential(0.2, len(ids))).tolist()},
        "finish_reason": "length" if rng.random() < 0.02 else "stop",
        "text": " ".join(WORDS[token] for token in ids[:-1]),
        **{"verdict": verdict, "answer": answer, "rule": "boxed", "reason": "made up"},
    }


def verdict_of(rng: np.random.Generator, rate: float, parseable: float) -> str:
    if rng.random() >= parseable:
        return "unparseable"
    return "correct" if rng.random() < rate else "incorrect"


def problem_rates(seed: int, count: int, rate: float) -> np.ndarray:
    """Rates of single problems around `rate`; the same problems are hard for every arm."""
    if rate in (0.0, 1.0):
        return np.full(count, rate)
    hardness = np.random.default_rng(seed).normal(size=count)
    return 1 / (1 + np.exp(hardness - np.log(rate / (1 - rate)) * 1.2))


def write_evaluation(
    folder: Path,
    arm: str,
    benchmark: str,
    problems: int,
    samples: int,
    rate: float,
    parseable: float,
    length: int,
    **config: Any,
) -> list[str]:
    """An arm's evaluation in two shards where there are samples enough."""
    rng = np.random.default_rng([len(arm), sum(map(ord, arm + benchmark))])
    rates = problem_rates(sum(map(ord, benchmark)), problems, rate)
    rows = [
        completion(
            rng,
            f"{benchmark}-{index:04}",
            sample,
            verdict_of(rng, rates[index], parseable if rate < 1 else 1.0),
            length,
        )
        for sample in range(samples)
        for index in range(problems)
    ]
    settings = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 2 * length, **config}
    half = max(1, samples // 2)
    paths = []
    for first, last in ((0, half), (half, samples)):
        shard = [row for row in rows if first <= row["sample"] < last]
        if shard:
            path = folder / f"evaluation/{arm}/{benchmark}/s{first}-{last - 1}.parquet"
            tables.write(path, "evaluation", shard, made_by("evaluation", **settings))
            paths.append(str(path))
    return paths


def write_pool(
    folder: Path,
    rng: np.random.Generator,
    problems: int,
    samples: int,
    parseable: float,
    length: int,
) -> dict[str, list[str]]:
    """The base's rollouts: those of a problem begin alike and part at their third token."""
    rates = rng.beta(0.5, 0.5, size=problems)
    ways = [[IDS["Ada"], IDS["has"], IDS[word], IDS[HOSTILE], IDS["Bo"]] for word in ("+", "twice")]
    rows = [
        completion(
            *(rng, f"train-{index:04}", sample, verdict_of(rng, rates[index], parseable), length),
            opening=ways[sample % 2],
        )
        for index in range(problems)
        for sample in range(samples)
    ]
    entropies = [line for row in rows for line in entropy_rows(rng, row)]
    parts = {"rollouts": rows, "verdicts": rows, "entropies": entropies}
    paths = {}
    for stage, content in parts.items():
        path = folder / f"{stage}/main/p0-{problems - 1}.s0-{samples - 1}.parquet"
        names = tables.SCHEMAS[stage].names
        kept = [{name: row[name] for name in names} for row in content]
        tables.write(path, stage, kept, made_by(stage))
        paths[stage] = [str(path)]
    return paths


def entropy_rows(rng: np.random.Generator, row: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for position, token in enumerate(row["token_ids"]):
        # Every second problem is undecided where its rollouts have begun alike.
        unsure = rng.random() < 0.1 or (position == 5 and row["problem_id"][-1] in "02468")
        entropy = float(rng.uniform(0.4, 1.4) if unsure else rng.exponential(0.03))
        others = rng.choice(len(WORDS), 4, replace=False).tolist()
        share = 0.5 if unsure else 0.97
        probabilities = [share, *(np.array([0.6, 0.25, 0.1, 0.05]) * (1 - share))]
        found.append(
            {
                **{"problem_id": row["problem_id"], "sample": row["sample"]},
                **{"position": position, "token_id": token, "entropy": entropy},
                **{"logprob": row["logprobs"][position], "top_ids": [token, *others]},
                "top_logprobs": np.log(probabilities).tolist(),
            }
        )
    return found


def write_training(
    folder: Path, arm: str, manifest: dict[str, Any], rng: np.random.Generator
) -> dict[str, str]:
    """Selection, its summary, the training log and the choice of an arm."""
    tau = 0.4
    entropies: dict[tuple[str, int], list[float]] = {}
    for row in tables.rows(manifest["entropies"][0], "entropies"):
        entropies.setdefault((row["problem_id"], row["sample"]), []).append(row["entropy"])
    verdicts = list(tables.rows(manifest["verdicts"][0], "verdicts"))
    rollouts = list(tables.rows(manifest["rollouts"][0], "rollouts"))
    right: dict[str, list[bool]] = {}
    for row in verdicts:
        right.setdefault(row["problem_id"], []).append(row["verdict"] == "correct")
    selected = []
    for row in rollouts:
        key = (row["problem_id"], row["sample"])
        rate = float(np.mean(right[key[0]]))
        if 0 < rate < 1:
            reward = right[key[0]][key[1]]
            gated = [i for i, entropy in enumerate(entropies[key]) if entropy > tau]
            selected.append(
                {
                    **{"problem_id": key[0], "sample": key[1], "positions": gated},
                    **{k: row[k] for k in ("prompt_token_ids", "token_ids")},
                    **{"reward": float(reward), "pass_rate": rate},
                    "advantage": (a := (reward - rate) / (rate * (1 - rate)) ** 0.5),
                    "advantages": [a] * len(gated),
                    "selected_entropy": float(sum(entropies[key][i] for i in gated)),
                }
            )
    config = {"gate": "entropy", "tau": tau, "advantages": "group", "window": [0, 1]}
    paths = {
        "selection": str(folder / f"selection/{arm}.parquet"),
        "selection_summary": str(folder / f"selection/{arm}.json"),
        "training": str(folder / f"training/{arm}/log.parquet"),
        "checkpoint": str(folder / f"adapters/{arm}/checkpoint.json"),
    }
    tables.write(paths["selection"], "selection", selected, made_by("selection", **config))
    positions = sum(len(row["token_ids"]) for row in selected)
    gated = sum(len(row["positions"]) for row in selected)
    summary = {
        **{"problems": len(right), "problems_mixed": len({r["problem_id"] for r in selected})},
        **{"rollouts": len(rollouts), "rollouts_kept": len(selected), "truncated": 3},
        **{"rollouts_trimmed": 5, "rollouts_without_advantage": 0, "rollouts_without_decision": 2},
        **{"problems_kept": 20, "rollouts_correct": 200, "positions": positions},
        **{"positions_gated": gated, "share_gated": gated / max(1, positions)},
        **{"threshold": tau, "near_threshold": 0.004},
        "audit": {"mean": 0.0, "p95": 0.2, "max": 1.5, "warnings": ["engine and scorer differ"]},
        "provenance": made_by("selection", **config),
    }
    Path(paths["selection_summary"]).write_text(json.dumps(summary), encoding="utf-8")
    tables.write(paths["training"], "training", training_log(rng), made_by("training"))
    choice = {
        "chosen": 3,
        "checkpoints": [
            {
                **{"checkpoint": n, "pass_rate": 0.35 + 0.05 * n, "low": 0.3 + 0.05 * n},
                **{"high": 0.4 + 0.05 * n, "parseable": 0.95, "collapsed": False, "step": 31 * n},
            }
            for n in range(5)
        ],
    }
    Path(paths["checkpoint"]).parent.mkdir(parents=True, exist_ok=True)
    Path(paths["checkpoint"]).write_text(json.dumps(choice), encoding="utf-8")
    return paths


def training_log(rng: np.random.Generator, steps: int = 125) -> list[dict[str, Any]]:
    return [
        {
            **{"step": step, "epoch": step / steps, "sequences": 8, "tokens": 400},
            **{"loss": float(-0.2 * step / steps + rng.normal(0, 0.02)), "decision_loss": -0.1},
            **{"anchor_loss": 0.01, "positive_change": 0.3 * step / steps},
            **{"negative_change": -0.5 * step / steps, "gradient_norm": 0.4},
            **{"learning_rate": 1e-4, "tokens_per_second": 9000.0, "peak_memory_mb": 700.0},
        }
        for step in range(1, steps + 1)
    ]


def write_footprint(folder: Path, manifest: dict[str, Any], teacher: str) -> dict[str, Any]:
    """The manifest with a footprint analysis: a sparse, uncertain footprint that is causal.

    Of 300 problems the base solves 100, the teacher 225, the entropy gate 200.
    """
    rng = np.random.default_rng(11)
    place = folder / "footprint"
    names = ("greedy", "sampled", "interventions", "pivotality")
    paths = {name: str(place / f"{name}.parquet") for name in names}
    for text in ("greedy", "sampled"):
        rank = np.where(rng.random(27000) < 0.03, rng.choice([2, 2, 3], 27000), 1)
        columns = {
            **{"problem_id": [f"p{n % 900}" for n in range(27000)], "sample": [0] * 27000},
            **{"position": [n // 900 for n in range(27000)], "token_id": [3] * 27000},
            "entropy": rng.exponential(np.where(rank > 1, 1.0, 0.1)),
            **{"base_token": [3] * 27000, "teacher_token": [4] * 27000, "rank": rank},
        }
        tables.write(paths[text], "footprint", columns, made_by("footprint"))
    solved = {"base": 100, "oracle": 225, "gate": 200, "random-positions": 100}
    solved |= {"oracle-random-token": 75, "gate-random-token": 75}
    solved |= {"base+1": 150, "base+4": 210, "teacher+1": 180, "teacher+4": 110}
    rows = [
        {
            **completion(rng, f"p-{n}", 0, "correct" if n < count else "incorrect", 30),
            **{"intervention": name, "touched": [1, 2], "changed": [1]},
        }
        for name, count in solved.items()
        for n in range(300)
    ]
    kept = [{name: row[name] for name in tables.SCHEMAS["interventions"].names} for row in rows]
    tables.write(paths["interventions"], "interventions", kept, made_by("interventions"))
    alternatives = [
        {
            **{"problem_id": f"train-{n % 9}", "sample": 0, "position": n, "rank": rank},
            **{"entropy": 0.02 * n, "gated": n >= 20, "weight": 10.0, "token_id": 5 + rank},
            **{"logprob": -float(rank), "continuations": 8},
            "correct": int(rng.integers(9)) if n > 10 else 4,
        }
        for n in range(40)
        for rank in (1, 2)
    ]
    tables.write(paths["pivotality"], "pivotality", alternatives, made_by("pivotality"))
    arms = [name for name in ("base", teacher) if name in manifest["arms"]]
    benchmark = next(iter(manifest["benchmarks"]))
    capability = {}
    for arm in arms:
        rate = {"base": 0.35}.get(arm, 0.5)
        (first, second) = write_evaluation(place, arm, "many", 20, MANY, rate, 0.95, 12)
        whole = [*tables.rows(first, "evaluation"), *tables.rows(second, "evaluation")]
        capability[arm] = str(place / f"capability/{arm}.parquet")
        tables.write(capability[arm], "evaluation", whole, made_by("evaluation"))
    return {
        **manifest,
        "footprint": {
            **{"teacher": teacher, "benchmark": benchmark, "tau": 0.3, **paths},
            **{"margin": 0.5, "capability": capability, "samples": MANY},
        },
    }
