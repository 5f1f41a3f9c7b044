"""How long Snakemake takes to build a large graph of this workflow, and to find nothing to do.

    python tests/benchmarks/graph_speed.py

100 arms, the paper's six benchmarks, 64 shards of rollouts: about 1,600 jobs. Prints seconds, of
the clock and of the processor: on a busy machine only the latter say something.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def large_config() -> dict:
    """A paper preset with 100 arms, its rollouts cut into 64 shards."""
    config = yaml.safe_load((ROOT / "config/qwen2.5-1.5b.yaml").read_text())
    config["run"] = "graph-speed"
    config["problems"]["train"][0]["limit"] = 640
    config["rollouts"]["problems_per_shard"] = 10
    # Samples by a benchmark's size: the costlier way to plan.
    config["evaluation"].pop("protocol", None)
    trained = {f"arm{number}": {"training": {"seed": number}} for number in range(99)}
    config["arms"] = {"base": {"kind": "base"}, **trained}
    return config


def seconds_of(*arguments: str) -> tuple[float, float, str]:
    """Clock, processor, and what Snakemake printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    clock = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert done.returncode == 0, done.stdout + done.stderr
    return clock, used, done.stdout + done.stderr


def main() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(large_config(), file)
        file.flush()
        # --quiet: printing 1,600 jobs is not building their graph.
        quiet = ("--dry-run", "--quiet", "all")
        for name, words in (
            ("the large graph", (*quiet, "--configfile", file.name)),
            ("the default run's plan", quiet),
            ("Snakemake's own start", ("--version",)),
        ):
            clock, used, _ = seconds_of(*words)
            print(f"{name}: {clock:.1f} s, {used:.1f} s of the processor")


if __name__ == "__main__":
    main()
