"""vLLM on a GPU: how long does it start, how fast does it sample, does the scorer agree with it?

    python tests/benchmarks/gpu_engine.py                # some 10 minutes on a GPU
    python tests/benchmarks/gpu_engine.py --seconds 120  # of each section, at most

Every section is one start of the engine in a process of its own, printed as a line of JSON as soon
as it ends; one that fails says why, and the next begins. The base is made here in the shape of
Qwen2.5-1.5B, with random weights whose entropies are about a real model's, so no file travels; each
prompt has a length of its own at which its completions end. Without a GPU the sections run small.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "workflow")]
from gpu_check import VOCABULARY, make_base, section  # noqa: E402

ADAPTERS = 4
# Makes a random model of 1.5B about as sure of its next token as a real one: about one nat.
SHARPNESS = 12.0
# Problems and samples of each, then the shortest and the longest completion.
ROLLOUTS = {"1.5B": (64, 20, 100, 1500), "small": (4, 4, 5, 20)}
# Benchmarks, problems in each, samples of each problem.
BENCHMARKS = {"1.5B": (6, 64, 2), "small": (2, 4, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=300, help="of one section at most")
    parser.add_argument("--sections", nargs="+", choices=sorted(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--folder", type=Path, help="where the models are made, or are already")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        kind, folder = args.worker
        print(json.dumps(SECTIONS[kind](Path(folder))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = args.folder or Path(name)
        if not folder.is_dir() or not any(folder.iterdir()):
            section("make the base", lambda: _make(folder))
        for kind in args.sections:
            section(kind, lambda kind=kind: _worker(kind, folder, args.seconds))


def _shape() -> str:
    return "1.5B" if torch.cuda.is_available() else "small"


def _make(folder: Path) -> dict:
    """A base, its tokenizer (the lab's: only ids are looked at), and adapters of it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    made = make_base(_shape(), str(folder / "base"), sharpness=SHARPNESS)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(ROOT / "data" / "lab" / "model" / name, folder / "base")
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.bfloat16)
    for number in range(ADAPTERS):
        torch.manual_seed(number)
        config = LoraConfig(
            r=32, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], init_lora_weights=False
        )
        adapted = get_peft_model(model, config)
        adapted.save_pretrained(folder / f"adapter-{number}")
        model = adapted.unload()
    _merge(folder)
    return made


def _merge(folder: Path) -> None:
    """The first adapter and the base as one whole model."""
    from safetensors.torch import save_file

    from reasonmaxxer.generation.engine import merged_weights

    (folder / "merged").mkdir()
    shutil.copy(folder / "base" / "config.json", folder / "merged")
    weights = dict(merged_weights(_model(folder), _adapter(folder, 0)))
    save_file(weights, folder / "merged" / "model.safetensors", {"format": "pt"})


def _worker(kind: str, folder: Path, seconds: int) -> dict:
    done = subprocess.run(
        [sys.executable, __file__, "--worker", kind, str(folder)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(_reason(done.stderr + done.stdout))
    return json.loads(done.stdout.splitlines()[-1])


def _reason(text: str) -> str:
    """The last lines that name an error, or the end."""
    errors = [line for line in text.splitlines() if "Error" in line]
    return "\n".join(errors[-5:]) or text


# --- the child: one start of the engine -------------------------------------------------------


def _model(folder: Path):
    from reasonmaxxer.config import ModelConfig

    gpu = torch.cuda.is_available()
    return ModelConfig(
        path=str(folder / "base"),
        dtype="bfloat16" if gpu else "float32",
        max_length=4096 if gpu else 64,
    )


def _open(folder: Path, adapters: int = 0):
    from reasonmaxxer.generation.engine import Hardware, open_engine

    model = _model(folder)
    started = time.perf_counter()
    # Half of a card, so that the scorer fits in beside the engine.
    hardware = Hardware(threads=1, kv_cache_mb=100, gpu_memory_utilization=0.5)
    engine = open_engine("vllm", model, hardware, [_adapter(folder, n) for n in range(adapters)])
    return model, engine, time.perf_counter() - started


def _adapter(folder: Path, number: int) -> Path:
    return folder / f"adapter-{number}"


def _batch(problems: int, samples: int, lengths: tuple[int, int], seed: int = 0, **settings):
    """Prompts of 60 to 90 tokens (fewer on a CPU), whose completions end at a length of theirs."""
    from reasonmaxxer.generation.engine import Batch, Prompt, Sampling

    drawn, gpu = random.Random(seed), torch.cuda.is_available()
    prompts = [
        Prompt(
            f"{seed}-{number}",
            [
                drawn.randrange(VOCABULARY[_shape()])
                for _ in range(drawn.randint(60, 90) if gpu else 8)
            ],
            drawn.randint(*lengths),
        )
        for number in range(problems)
    ]
    logprobs, adapter = settings.pop("logprobs", False), settings.pop("adapter", None)
    sampling = Sampling(1.0, 1.0, lengths[1], seed, samples, logprobs=logprobs)
    return Batch(prompts, sampling, adapter)


def _timed(engine, batches) -> tuple[float, float, list]:
    """Seconds, tokens a second, and the completions of each batch."""
    started = time.perf_counter()
    rows = dict(engine.generate(batches))
    seconds = time.perf_counter() - started
    tokens = sum(len(row["token_ids"]) for batch in rows.values() for row in batch)
    return seconds, tokens / seconds, [rows[place] for place in range(len(batches))]


def _base(folder: Path) -> dict:
    """Rollouts with log-probs, evaluation without, benchmarks together and apart, a whole model."""
    model, engine, start = _open(folder)
    problems, samples, *lengths = ROLLOUTS[_shape()]
    _timed(engine, [_batch(2, 2, (4, 4), seed=99)])
    seconds, rate, (rows,) = _timed(engine, [_batch(problems, samples, lengths, logprobs=True)])
    _, bare, (again,) = _timed(engine, [_batch(problems, samples, lengths)])
    same = sum(a["token_ids"] == b["token_ids"] for a, b in zip(rows, again, strict=True))
    count, questions, answers = BENCHMARKS[_shape()]
    apart, together = [
        [_batch(questions, answers, lengths, seed=first + n) for n in range(count)]
        for first in (100, 200)
    ]
    seconds_apart = sum(_timed(engine, [batch])[0] for batch in apart)
    seconds_together, rate_together, _ = _timed(engine, together)
    started = time.perf_counter()
    engine._load(folder / "merged")
    merge = time.perf_counter() - started
    whole = {"adapter": folder / "merged"}
    _, merged, _ = _timed(engine, [_batch(problems, samples, lengths, **whole)])
    return {
        "start_seconds": start,
        "rollouts_seconds": seconds,
        "rollouts_tokens_per_second": rate,
        "evaluation_tokens_per_second": bare,
        "same_completions_twice": same / len(rows),
        "benchmarks_apart_seconds": seconds_apart,
        "benchmarks_together_seconds": seconds_together,
        "benchmarks_together_tokens_per_second": rate_together,
        "reload_seconds": merge,
        "whole_model_tokens_per_second": merged,
        **_gap(model, rows[: 4 * samples]),
    }


def _gap(model, rows: list[dict]) -> dict:
    """Log-probs of the engine less the scorer's, of the same tokens, in nats."""
    from reasonmaxxer.modeling.base_model import load_base
    from reasonmaxxer.stages.entropies import score_rollouts

    scores = score_rollouts(load_base(model.path, model), rows, 5, 8192)
    theirs = torch.tensor([value for row in rows for value in row["logprobs"]])
    gap = (torch.as_tensor(scores["logprob"]).flatten() - theirs).abs()
    return {
        "tokens_compared": len(gap),
        "mean_entropy": float(torch.as_tensor(scores["entropy"]).mean()),
        "gap_median": gap.median().item(),
        "gap_95th_percentile": gap.quantile(0.95).item(),
        "gap_most": gap.max().item(),
    }


def _rounded_head(folder: Path) -> dict:
    """The gap where the head's logits are rounded to the model's dtype, which is vLLM's default."""
    import vllm

    with_its_own_head = vllm.LLM
    vllm.LLM = lambda hf_overrides, **options: with_its_own_head(**options)
    model, engine, start = _open(folder)
    problems, samples, *lengths = ROLLOUTS[_shape()]
    _timed(engine, [_batch(2, 2, (4, 4), seed=99)])
    _, rate, (rows,) = _timed(engine, [_batch(problems, samples, lengths, logprobs=True)])
    gap = _gap(model, rows[: 4 * samples])
    return {"start_seconds": start, "rollouts_tokens_per_second": rate, **gap}


def _adapters(folder: Path) -> dict:
    """Four adapters and the base in one engine: apart, then together."""
    _, engine, start = _open(folder, ADAPTERS)
    problems, samples, *lengths = ROLLOUTS[_shape()]
    arms = [None, *(_adapter(folder, number) for number in range(ADAPTERS))]
    share = max(problems // len(arms), 1)

    def batches(seed: int) -> list:
        return [_batch(share, samples, lengths, seed=seed, adapter=arm) for arm in arms]

    for arm in arms:
        _timed(engine, [_batch(2, 2, (4, 4), seed=99, adapter=arm)])
    _, base, _ = _timed(engine, [_batch(problems, samples, lengths)])
    _, one, _ = _timed(engine, [_batch(problems, samples, lengths, adapter=arms[1])])
    apart = sum(_timed(engine, [batch])[0] for batch in batches(1))
    together, rate, rows = _timed(engine, batches(2))
    different = len({json.dumps([row["token_ids"] for row in batch]) for batch in rows})
    return {
        "start_seconds": start,
        "base_tokens_per_second": base,
        "adapter_tokens_per_second": one,
        "arms_apart_seconds": apart,
        "arms_together_seconds": together,
        "arms_together_tokens_per_second": rate,
        "arms_that_differ": different,
    }


def _again(folder: Path) -> dict:
    """A start of the base's engine whose compiled code lies in vLLM's cache."""
    return {"start_seconds": _open(folder)[2]}


SECTIONS = {
    "base": _base,
    "four adapters": _adapters,
    "rounded head": _rounded_head,
    "second start": _again,
}

if __name__ == "__main__":
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    main()
