"""How fast the judge is, beside plain math-verify on the same items in the same run.

    python tests/benchmarks/judge_speed.py [--ordinary N] [--hard N] [--long N] [--workers N]

Three workloads, generated from a seed: ordinary completions (a worked solution that ends in a box,
mostly numbers), hard pairs (each one goes to a worker), and a long run streamed from Parquet with
about 6% hard pairs. The cache of comparisons is off. `--long 0` leaves the long run out.
"""

import argparse
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from reasonmaxxer import tables
from reasonmaxxer.config import JudgingConfig
from reasonmaxxer.stages.verdicts import TABLES, judged_table
from reasonmaxxer.verifier.judge import judge_pairs

Pair = tuple[str, str]


def worked(answer: str, rng: random.Random) -> str:
    """A solution of some 1,000 characters that ends in a box."""
    lines = ["To solve this problem, we work step by step."]
    value = rng.randint(2, 90)
    for step in range(rng.randint(5, 11)):
        other = rng.randint(2, 30)
        lines.append(
            f"**Step {step + 1}.** Next we combine the quantities, so that \\( x_{{{step}}} = "
            f"{value} + {other} \\):\n\\[\n\\frac{{{value * other}}}{{{other}}} + {other} = "
            f"{value + other}\n\\]"
        )
        value += other
    lines.append(f"Therefore, the answer is \\(\\boxed{{{answer}}}\\).")
    return "\n\n".join(lines)


def ordinary(rng: random.Random) -> Pair:
    """Numbers, fractions, decimals and short formulas; seven in ten are right."""
    a, b = rng.randint(1, 400), rng.randint(2, 60)
    gold, same = rng.choice(
        [
            *[(str(a), str(a))] * 6,
            (f"{a * 1000:,}", str(a * 1000)),
            (f"\\frac{{{a}}}{{{b}}}", f"\\dfrac{{{a}}}{{{b}}}"),
            (f"{a / 4}", f"\\frac{{{a}}}{{4}}"),
            (f"{b}\\sqrt{{{a}}}", f"{b} \\sqrt{{{a}}}"),
            (f"({a},{b})", f"\\left({a}, {b}\\right)"),
        ]
    )
    wrong = str(rng.randint(1, 4000))
    return gold, worked(same if rng.random() < 0.7 else wrong, rng)


def hard(rng: random.Random) -> Pair:
    """Pairs that need thirty digits or computer algebra; most are right."""
    a, b, c = rng.randint(2, 40), rng.randint(2, 40), rng.randint(2, 12)
    gold, answer = rng.choice(
        [
            (f"{a}\\sqrt{{{b}}}", f"\\sqrt{{{a * a * b}}}"),
            (f"\\frac{{{a}}}{{\\sqrt{{{b}}}}}", f"\\frac{{{a}\\sqrt{{{b}}}}}{{{b}}}"),
            (f"\\sin^2 x + {a}", f"{a + 1} - \\cos^2 x"),
            (f"{a} + {b}\\pi", f"\\pi \\cdot {b} + {a}"),
            (f"\\ln({a}) + \\ln({b})", f"\\ln {a * b}"),
            (f"e^{{{c}x}} - {a}", f"-{a} + (e^{{x}})^{{{c}}}"),
            (f"2^{{n+{c}}}", f"{2**c} \\cdot 2^n"),
            (f"x > {a}", f"-x < -{a}"),
            (f"(-\\infty, {a})", f"x < {a}.0 \\text{{ or }} x < {a - 1}"),
            (f"\\sqrt{{{a}}} + {b}", f"\\sqrt{{{a}}} + {b} + 10^{{-20}}"),
        ]
    )
    return gold, f"\\boxed{{{answer}}}"


def plain_math_verify(pairs: list[Pair]) -> int:
    """The same pairs with math-verify alone, boxes first; returns the number of "correct"."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    target = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    return sum(verify(parse(f"${gold}$", target), parse(text, target)) for gold, text in pairs)


def ours(pairs: list[Pair]) -> Counter[str]:
    """Verdicts with one worker and no cache."""
    return Counter(v.verdict for v in judge_pairs(pairs, workers=1, cache=False))


def cpu_seconds() -> float:
    """CPU time of this process and of its workers that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def timed(name: str, pairs: list[Pair], judge: Callable[[list[Pair]], object]) -> None:
    """Print items a second by the clock and, for a machine that is shared, by CPU time."""
    start, cpu = time.perf_counter(), cpu_seconds()
    outcome = judge(pairs)
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    print(
        f"{name:28} {len(pairs):7,} items {seconds:8.2f} s {len(pairs) / seconds:8,.0f}/s"
        f"  CPU {cpu:7.2f} s {len(pairs) / cpu:8,.0f}/s  {outcome}",
        flush=True,
    )


def long_run(count: int, workers: int, seed: int) -> None:
    """Judge `count` completions from a Parquet file and print time and memory as it goes."""
    with tempfile.TemporaryDirectory() as folder:
        problems, rollouts = Path(folder, "problems.parquet"), Path(folder, "rollouts.parquet")
        _write_tables(problems, rollouts, count, seed)
        outcome: Counter[str] = Counter()
        start, cpu = time.perf_counter(), cpu_seconds()
        rows = judged_table(
            rollouts, "rollouts", problems, JudgingConfig(), workers, TABLES["verdicts"].columns
        )
        for number, row in enumerate(rows, 1):
            outcome[row["verdict"]] += 1
            if number % (count // 6) == 0:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                elapsed = time.perf_counter() - start
                print(f"  {number:9,} rows {elapsed:7.1f} s  peak {peak:6.0f} MiB", flush=True)
        print(f"  CPU, workers included: {cpu_seconds() - cpu:.1f} s; {dict(outcome)}")


def _write_tables(problems: Path, rollouts: Path, count: int, seed: int) -> None:
    rng = random.Random(seed)

    def pairs() -> Iterator[Pair]:
        for _ in range(count):
            yield hard(rng) if rng.random() < 0.06 else ordinary(rng)

    with (
        tables.open_writer(problems, "problems", {}) as problem_table,
        tables.open_writer(rollouts, "rollouts", {}) as rollout_table,
    ):
        numbered = ((str(i), *pair) for i, pair in enumerate(pairs()))
        while block := list(islice(numbered, 1000)):
            blank = {"problem": "", "source": "", "level": ""}
            problem_table.write([blank | {"problem_id": i, "answer": g} for i, g, _ in block])
            rollout_table.write([{"problem_id": i, "sample": 0, "text": t} for i, _, t in block])


def main() -> None:
    """Print a line a workload and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ordinary", type=int, default=6000)
    parser.add_argument("--hard", type=int, default=1500)
    parser.add_argument("--long", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    for name, make, count in (("ordinary", ordinary, args.ordinary), ("hard", hard, args.hard)):
        pairs = [make(rng) for _ in range(count)]
        timed(f"{name}: judge", pairs, ours)
        timed(f"{name}: plain math-verify", pairs[: max(1, count // 10)], plain_math_verify)
    if args.long:
        print(f"{args.long:,} completions from Parquet, {args.workers} worker(s):")
        long_run(args.long, args.workers, args.seed)


if __name__ == "__main__":
    main()
