"""Speed and memory of scorer and trainer against a stand-in for the released approach.

    python tests/benchmarks/scorer_trainer.py --model MODEL [--dtype float32] [--sequences 64]
    python tests/benchmarks/scorer_trainer.py --model MODEL --growth

Each measurement is a process of its own, so that peak memory is its own; both approaches get the
same made-up rollouts, and runs alternate. Figures are medians. Time at one thread is CPU time,
which on a busy machine is steadier than the clock and on an idle one the same; with more threads
it is the clock's, and the machine should be idle.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "workflow")]


def main() -> None:
    args = _arguments()
    if args.worker:
        print(json.dumps(_worker(args)))
    elif args.growth:
        _growth(args)
    else:
        _compare(args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--unique", type=int, help="different rollouts among them; default all")
    parser.add_argument("--prompt", type=int, nargs=2, default=(20, 60))
    parser.add_argument("--completion", type=int, nargs=2, default=(40, 120))
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--growth", action="store_true", help="tables over 10^4 to 10^6 tokens")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


# --- the parent: alternating runs, medians ----------------------------------------------------


def _run(args: argparse.Namespace, worker: str, **changes: int) -> dict:
    command = [sys.executable, __file__, "--worker", worker]
    options = vars(args) | changes
    names = "model dtype sequences unique prompt completion batch_tokens threads"
    for name in names.split():
        value = options[name]
        if value is not None:
            values = value if isinstance(value, list | tuple) else [value]
            command += [f"--{name.replace('_', '-')}", *map(str, values)]
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    output = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ).stdout
    return json.loads(output.splitlines()[-1])


def _compare(args: argparse.Namespace) -> None:
    kinds = ["forward", "score", "standin-score", "train", "train-kept", "standin-train"]
    runs: dict[str, list[dict]] = {kind: [] for kind in kinds}
    for _ in range(args.pairs):
        for kind in kinds:
            runs[kind].append(_run(args, kind))
    rate = {k: statistics.median(r["tokens_per_second"] for r in runs[k]) for k in kinds}
    peak = {k: statistics.median(r["peak_mb"] for r in runs[k]) for k in kinds}
    net = {k: statistics.median(r["peak_mb"] - r["libraries_mb"] for r in runs[k]) for k in kinds}
    first = runs["train"][0]
    print(
        f"{args.model} {args.dtype}: {args.sequences} sequences, {first['tokens']} tokens, "
        f"medians of {args.pairs} pairs, {args.threads} threads"
    )
    print(f"{'':16}{'tokens/s':>10}{'peak MB':>10}{'less libraries':>16}")
    for kind in kinds:
        print(f"{kind:16}{rate[kind]:10.0f}{peak[kind]:10.0f}{net[kind]:16.0f}")
    print(f"scoring / bare forward        {_ratio(runs, 'score', 'forward')}")
    print(f"scoring / stand-in            {_ratio(runs, 'score', 'standin-score')}")
    print(f"training / stand-in           {_ratio(runs, 'train', 'standin-train')}")
    print(f"  with the scorer's states    {_ratio(runs, 'train-kept', 'standin-train')}")
    print(f"peak memory / stand-in        {peak['train'] / peak['standin-train']:.2f}")
    print(f"the same less libraries       {net['train'] / net['standin-train']:.2f}")
    print(f"entropies differ by at most   {_difference(runs, 'score', 'standin-score'):.1e}")
    print(f"losses differ by at most      {_difference(runs, 'train', 'standin-train'):.1e}")


def _ratio(runs: dict[str, list[dict]], ours: str, theirs: str) -> str:
    ratios = [
        a["tokens_per_second"] / b["tokens_per_second"]
        for a, b in zip(runs[ours], runs[theirs], strict=True)
    ]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _difference(runs: dict[str, list[dict]], ours: str, theirs: str) -> float:
    pairs = zip(runs[ours][0]["values"], runs[theirs][0]["values"], strict=True)
    return max(abs(a - b) for a, b in pairs)


def _growth(args: argparse.Namespace) -> None:
    mean = (sum(args.prompt) + sum(args.completion)) / 2
    print(f"{args.model} {args.dtype}: seconds and peak memory by tokens, {args.threads} threads")
    print(f"{'':8}{'tokens':>10}{'seconds':>10}{'us/token':>10}{'peak MB':>10}")
    for kind in ("score", "train"):
        for tokens in (10_000, 30_000, 100_000, 300_000, 1_000_000):
            run = _run(args, kind, sequences=round(tokens / mean))
            seconds = run["tokens"] / run["tokens_per_second"]
            print(
                f"{kind:8}{run['tokens']:10}{seconds:10.1f}"
                f"{1e6 * seconds / run['tokens']:10.1f}{run['peak_mb']:10.0f}",
                flush=True,
            )


# --- the child: one measurement ---------------------------------------------------------------


def _now(args: argparse.Namespace) -> float:
    return time.process_time() if args.threads == 1 else time.perf_counter()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _worker(args: argparse.Namespace) -> dict:
    import peft  # noqa: F401
    import torch
    from transformers import LlamaForCausalLM  # noqa: F401

    from reasonmaxxer import curriculum, entropies
    from reasonmaxxer.config import ModelConfig, TrainingConfig

    torch.set_num_threads(args.threads)
    libraries = _peak_mb()
    model_config = ModelConfig(path=args.model, dtype=args.dtype)
    rollouts = _rollouts(args)
    config = TrainingConfig(
        sequences=args.sequences, warmup_steps=2, checkpoints=1, learning_rate=1e-4
    )
    steps = curriculum.training_steps(rollouts, config)
    if "train" in args.worker:
        work = _standin_train if args.worker.startswith("standin") else _train
        seconds, values = work(args, model_config, config, rollouts, steps)
        tokens = sum(len(rollouts[i].ids) for step in steps for i in step)
    else:
        base = entropies.load_base(args.model, model_config)
        work = {"forward": _forward, "score": _score, "standin-score": _standin_score}
        with torch.inference_mode():
            seconds, values = work[args.worker](args, base, rollouts)
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

    from reasonmaxxer.objective import Rollout

    vocabulary = AutoConfig.from_pretrained(args.model).vocab_size
    rng = np.random.default_rng(0)
    rollouts = []
    for index in range(args.unique or args.sequences):
        prompt, completion = (int(rng.integers(*span)) for span in (args.prompt, args.completion))
        ids = rng.integers(0, vocabulary, prompt + completion)
        positions = np.flatnonzero(rng.random(completion) < 0.05)
        advantage = 1.0 if index % 2 else -1.0
        rollouts.append(Rollout(ids, prompt, advantage, positions, "p", index))
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


def _forward(args, base, rollouts) -> tuple[float, list[float]]:
    from reasonmaxxer.batching import plan_batches

    base.hidden(base.pad([rollouts[0].ids]))
    started = _now(args)
    for batch in plan_batches([len(r.ids) for r in rollouts], args.batch_tokens):
        base.hidden(base.pad([rollouts[i].ids for i in batch]))
    return _now(args) - started, []


def _score(args, base, rollouts) -> tuple[float, list[float]]:
    from reasonmaxxer.entropies import PART_TOKENS, score_rollouts

    rows = _as_rows(rollouts)
    score_rollouts(base, rows[:1], 5, args.batch_tokens)
    started, values = _now(args), []
    size = max(PART_TOKENS * len(rollouts) // sum(len(r.ids) for r in rollouts), 1)
    for start in range(0, len(rows), size):
        columns = score_rollouts(base, rows[start : start + size], 5, args.batch_tokens)
        values = values or columns["entropy"][:1000].tolist()
    return _now(args) - started, values


def _standin_score(args, base, rollouts) -> tuple[float, list[float]]:
    import released_standin
    import torch

    released_standin.score(base.model, rollouts[:1], 5)
    started = _now(args)
    scores = released_standin.score(base.model, rollouts, 5)
    seconds = _now(args) - started
    return seconds, torch.cat([entropy for entropy, *_ in scores])[:1000].tolist()


def _train(args, model_config, config, rollouts, steps) -> tuple[float, list[float]]:
    import tempfile

    from reasonmaxxer.base_states import store_states
    from reasonmaxxer.entropies import load_base
    from reasonmaxxer.training import Trainer, base_states

    trainer = Trainer(load_base(args.model, model_config), rollouts, config)
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
