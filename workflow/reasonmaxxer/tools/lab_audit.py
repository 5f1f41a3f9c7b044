"""Command `lab-audit`: what a lab base model is sure of, where it hesitates, how often it is right.

Teacher-forced on fresh traces of the generator, every position of a completion is one of
`CLASSES`; sampled at the paper's settings, every benchmark has its pass@1 and pass@k.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..config import ModelConfig, PromptConfig
from ..config.lab import LabSource
from ..generation.engine import Engine, Hardware, Prompt, Sampling, base_completions, open_engine
from ..generation.prompts import encode, load_tokenizer
from ..lab.generator import RECIPES, SUITES, generate, problems
from ..lab.tokenizer import EOS
from ..lab.traces import Fork, Trace, problem_tokens, work
from ..lab.world import MISCONCEPTION, world

HELP = "Measure a lab base model alone: settled tokens, forks, slips, pass rates."
CLASSES = ("settled", "fork that matters", "fork that does not", "misconception", "thin fact")
PROMPT = PromptConfig(template="config/prompts/lab.txt")
BINS = np.linspace(0, 2, 81)  # nats
TRACES_SEED = 77
BOXED = re.compile(r"\\boxed\{(\d+)\}$")
MOST_TOKENS = 192


@dataclass
class Position:
    """One position of a trace under the model: probabilities of the next token."""

    place: str  # one of CLASSES
    fork: Fork | None
    entropy: float  # nats
    right: float  # probability of the token at this position
    options: list[float]  # probabilities of the fork's options


def audit(
    folder: Path, number: int, traces: int, suite_problems: int, samples: int
) -> dict[str, Any]:
    """The table of properties of the model in `folder`, the base of world `number`.

    `traces` fresh traces of each split are read teacher-forced; `samples` completions are drawn
    for each of the first `suite_problems` problems of each benchmark.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    words = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        positions = read(model, words, number, traces)
    served = ModelConfig(path=str(folder), dtype="float32", max_length=512)
    engine = open_engine("vllm", served, Hardware(torch.get_num_threads()))
    suites = [
        solve(engine, served, number, name, suite_problems, samples) for name in ["train", *SUITES]
    ]
    weights = (folder / "model.safetensors").read_bytes()
    return {
        "sha256": hashlib.sha256(weights).hexdigest(),
        "world": number,
        "parameters": sum(p.numel() for p in model.parameters()),
        "positions": _classes(positions),
        "settled": _settled([p for p in positions if p.place == "settled"]),
        "forks": _forks([p for p in positions if p.fork]),
        "suites": suites,
        "entropies": _histogram(positions),
    }


# --- teacher-forced -------------------------------------------------------------------------------


def read(model: Any, words: Any, number: int, traces: int) -> list[Position]:
    """Every position of fresh traces of all splits but the corpus, a coin at each fork."""
    lab, source = world(number), LabSource.model_validate({"world": number})
    head, tail = Path(PROMPT.template).read_text().split("{problem}")
    found: list[Position] = []
    for split in RECIPES:
        if split == "pretraining":
            continue
        rng = random.Random(f"audit/{split}")
        for _, problem in zip(range(traces), problems(split, TRACES_SEED, source), strict=False):
            trace = work(problem, lab, rng)
            prompt = words.encode(head + "".join(problem_tokens(problem)).strip() + tail)
            found += _positions(model, words, prompt, trace)
    return found


def _positions(model: Any, words: Any, prompt: list[int], trace: Trace) -> list[Position]:
    ids = words.convert_tokens_to_ids([*trace.tokens, EOS])
    logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].double()
    logp = logits.log_softmax(-1)
    p = logp.exp()
    entropy = -(p * logp).sum(-1)
    forks = {fork.position: fork for fork in trace.forks}
    made = []
    for place, token in enumerate(ids):
        fork = forks.get(place)
        options = words.convert_tokens_to_ids(list(fork.options)) if fork else []
        made.append(
            Position(
                _class(place, fork, trace),
                fork,
                float(entropy[place]),
                float(p[place, token]),
                p[place, options].tolist(),
            )
        )
    return made


def _class(place: int, fork: Fork | None, trace: Trace) -> str:
    if fork:
        if fork.kind.name == MISCONCEPTION:
            return "misconception"
        return "fork that matters" if fork.kind.matters else "fork that does not"
    return "thin fact" if place in trace.thin else "settled"


def _classes(positions: list[Position]) -> list[dict[str, Any]]:
    """Count and entropies of each class."""
    rows = []
    for place in CLASSES:
        entropies = np.array([p.entropy for p in positions if p.place == place])
        quantiles = np.quantile(entropies, (0.05, 0.5, 0.95)) if len(entropies) else [math.nan] * 3
        rows.append(
            {
                "class": place,
                "positions": len(entropies),
                "share": len(entropies) / len(positions),
                "entropy p5": float(quantiles[0]),
                "entropy median": float(quantiles[1]),
                "entropy p95": float(quantiles[2]),
                "right p mean": float(np.mean([p.right for p in positions if p.place == place])),
            }
        )
    return rows


def _settled(positions: list[Position]) -> dict[str, float]:
    right = np.array([p.right for p in positions])
    return {
        "positions": len(right),
        "sure and right": float((right >= 0.9).mean()),
        "right": float((right >= 0.5).mean()),
    }


def _forks(positions: list[Position]) -> list[dict[str, Any]]:
    """Each kind of fork: KL from the declared shares to the model's probabilities, in nats."""
    kinds: dict[str, list[Position]] = defaultdict(list)
    for position in positions:
        assert position.fork is not None
        kinds[position.fork.kind.name].append(position)
    rows = []
    for name, those in sorted(kinds.items()):
        kind = those[0].fork.kind  # type: ignore[union-attr]
        kl = [_kl(kind.shares, p.options) for p in those]
        rows.append(
            {
                "kind": name,
                "matters": kind.matters,
                "shares": list(kind.shares),
                "model": np.mean([p.options for p in those], axis=0).tolist(),
                "occurrences": len(those),
                "kl": float(np.mean(kl)),
                "entropy": float(np.mean([p.entropy for p in those])),
            }
        )
    return rows


def _kl(shares: tuple[float, ...], model: list[float]) -> float:
    return sum(s * math.log(s / max(m, 1e-12)) for s, m in zip(shares, model, strict=True))


def _histogram(positions: list[Position]) -> list[dict[str, Any]]:
    """Positions of each class in bins of entropy; the last bin holds everything above."""
    rows = []
    for place in CLASSES:
        entropies = [min(p.entropy, BINS[-1] - 1e-9) for p in positions if p.place == place]
        counts, _ = np.histogram(entropies, BINS)
        rows += [
            {"class": place, "low": round(float(low), 4), "positions": int(count)}
            for low, count in zip(BINS, counts, strict=False)
            if count
        ]
    return rows


# --- sampled --------------------------------------------------------------------------------------


def solve(
    engine: Engine, model: ModelConfig, number: int, split: str, count: int, samples: int
) -> dict[str, Any]:
    """pass@1 with a 95% interval over problems, and pass@`samples`, at the paper's settings."""
    rows = generate(split, count, 1, LabSource.model_validate({"world": number}))
    encoded = encode(PROMPT, [row["problem"] for row in rows], load_tokenizer(model))
    prompts = [Prompt(row["id"], ids) for row, ids in zip(rows, encoded, strict=True)]
    answers = {row["id"]: row["answer"] for row in rows}
    hits: Counter[str] = Counter()
    boxed, tokens = 0, 0
    for completion in base_completions(
        engine, prompts, Sampling(0.6, 0.95, MOST_TOKENS, 42, samples)
    ):
        name = completion["problem_id"]
        if found := BOXED.search(completion["text"]):
            boxed += 1
            hits[name] += found[1] == answers[name]
        tokens += len(completion["token_ids"])
    rates = np.array([hits[row["id"]] for row in rows]) / samples
    margin = 1.96 * rates.std(ddof=1) / math.sqrt(count)
    return {
        "suite": split,
        "problems": count,
        "samples": samples,
        "pass@1": float(rates.mean()),
        "low": float(rates.mean() - margin),
        "high": float(rates.mean() + margin),
        "pass@k": float((rates > 0).mean()),  # k is all the samples
        "mixed": float(((rates > 0) & (rates < 1)).mean()),
        "boxed": boxed / (count * samples),
        "tokens": tokens / (count * samples),
    }


# --- tables and figure ----------------------------------------------------------------------------


def tables(measured: dict[str, Any]) -> str:
    """The measured properties as Markdown tables, in the order of docs/lab.md."""
    return "\n\n".join(
        [
            _table(
                ("class", "positions", "share", "entropy 5%", "median", "95%"),
                [
                    (
                        row["class"],
                        row["positions"],
                        f"{row['share']:.2%}",
                        *(f"{row[f'entropy {q}']:.3f}" for q in ("p5", "median", "p95")),
                    )
                    for row in measured["positions"]
                ],
            ),
            _table(
                ("fork", "matters", "declared shares", "the model's", "seen", "KL (nats)"),
                [
                    (
                        row["kind"],
                        "yes" if row["matters"] else "no",
                        " / ".join(f"{share:.3f}" for share in row["shares"]),
                        " / ".join(f"{share:.3f}" for share in row["model"]),
                        row["occurrences"],
                        f"{row['kl']:.4f}",
                    )
                    for row in measured["forks"]
                ],
            ),
            _table(
                ("benchmark", "problems", "pass@1 (95% interval)", "pass@k", "mixed", "tokens"),
                [
                    (
                        row["suite"],
                        row["problems"],
                        f"{row['pass@1']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
                        f"{row['pass@k']:.3f}",
                        f"{row['mixed']:.2f}",
                        f"{row['tokens']:.0f}",
                    )
                    for row in measured["suites"]
                ],
            ),
        ]
    )


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def draw(measured: dict[str, Any], path: Path) -> None:
    """The figure: where forks that matter, forks that do not, and slips sit."""
    import altair as alt

    rows = [{**row, "high": row["low"] + float(BINS[1] - BINS[0])} for row in measured["entropies"]]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("low:Q", bin="binned", title="entropy of the base model (nats)"),
            x2="high:Q",
            y=alt.Y("positions:Q", title="positions"),
            color=alt.Color("class:N", legend=None, scale=alt.Scale(scheme="tableau10")),
            row=alt.Row("class:N", sort=list(CLASSES), title=None, header=alt.Header(labelAngle=0)),
        )
        .properties(width=520, height=70)
        .resolve_scale(y="independent")
    )
    chart.save(str(path))


# --- command --------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--world", type=int, default=1, help="world it was pretrained on")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument(
        "--traces", type=int, default=200, help="number of traces read of each split"
    )
    parser.add_argument(
        "--problems", type=int, default=60, help="problems solved of each benchmark"
    )
    parser.add_argument("--samples", type=int, default=64, help="completions of each problem")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument("--figure", type=Path, help="SVG to write")


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    measured = audit(args.model, args.world, args.traces, args.problems, args.samples)
    args.out.write_text(json.dumps(measured, indent=1) + "\n")
    print(tables(measured))
    if args.figure:
        draw(measured, args.figure)
