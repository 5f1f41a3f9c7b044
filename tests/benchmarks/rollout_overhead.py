"""What the rollouts stage adds to a bare vLLM `generate` call: tokens a second of both, in pairs.

    python tests/benchmarks/rollout_overhead.py --configfile config/config.yaml --pairs 5

One engine serves both. The bare call gets the same prompts and sampling parameters; the stage
also seeds each problem, keeps log-probs, decodes, and writes its table. Printed: the median of each
and of the ratio stage / bare, pair by pair.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from reasonmaxxer import config, tables
from reasonmaxxer.generation.engine import Batch, Hardware, Prompt, VllmEngine
from reasonmaxxer.generation.prompts import encode, load_tokenizer
from reasonmaxxer.graph.jobs import rollouts_job
from reasonmaxxer.graph.shards import rollout_shards
from reasonmaxxer.stages.problems import load_problems
from reasonmaxxer.stages.rollouts import GenerationJob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", nargs="+", default=["config/config.yaml"])
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    run = config.load(args.configfile)
    job = GenerationJob.from_json(rollouts_job(run, "main", rollout_shards(run)[0]))
    sampling = replace(job.sampling(run.prompt), logprobs=True)
    rows = load_problems(run.problems.train, "train")[: args.problems]
    ids = encode(run.prompt, [row["problem"] for row in rows], load_tokenizer(run.model))
    prompts = [Prompt(row["problem_id"], i) for row, i in zip(rows, ids, strict=True)]
    started = time.perf_counter()
    engine = VllmEngine(run.model, Hardware(threads=args.threads))
    print(f"engine ready in {time.perf_counter() - started:.1f} s")

    from vllm import SamplingParams
    from vllm.inputs import TokensPrompt

    inputs = [TokensPrompt(prompt_token_ids=prompt.token_ids) for prompt in prompts]
    params = SamplingParams(
        n=sampling.count,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=0,
    )

    def bare() -> float:
        started = time.perf_counter()
        outputs = engine._llm.generate(inputs, params)
        tokens = sum(len(c.token_ids) for output in outputs for c in output.outputs)
        return tokens / (time.perf_counter() - started)

    def stage() -> float:
        started, tokens = time.perf_counter(), 0
        with tempfile.TemporaryDirectory() as folder:
            for _, rows in engine.generate([Batch(prompts, sampling)]):
                tables.write(Path(folder) / "r.parquet", "rollouts", rows)
                tokens += sum(len(row["token_ids"]) for row in rows)
        return tokens / (time.perf_counter() - started)

    bare()  # the first call warms caches up
    pairs = [(bare(), stage()) for _ in range(args.pairs)]
    ratios = [s / b for b, s in pairs]
    print(f"bare generate: {statistics.median(b for b, _ in pairs):.0f} tokens/s")
    print(f"rollouts stage: {statistics.median(s for _, s in pairs):.0f} tokens/s")
    print(
        f"ratio: {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f}, "
        f"{args.pairs} pairs, {args.threads} threads)"
    )


if __name__ == "__main__":
    main()
