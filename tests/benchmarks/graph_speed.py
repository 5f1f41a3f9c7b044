"""How long Snakemake takes to build a large graph of this workflow, and to find nothing to do.

    python tests/benchmarks/graph_speed.py

100 arms, the paper's six benchmarks, 64 shards of rollouts: about 1,600 jobs. Prints seconds, of
the clock and of the processor: on a busy machine only the latter say something. A dry run that
prints every job ("in all") has done more than build the graph ("built").
"""

import os
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


def seconds_of(*arguments: str) -> dict[str, tuple[float, float]]:
    """Seconds of the clock and of the processor until the graph was built, and until the end."""
    start, found = time.perf_counter(), {}
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    printed = []
    for line in process.stdout:
        printed.append(line)
        if line.startswith("Job stats") and not found:
            used = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
            ticks = sum(map(int, used)) / os.sysconf("SC_CLK_TCK")
            found["built"] = (time.perf_counter() - start, ticks)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, "".join(printed)
    found["in all"] = (time.perf_counter() - start, usage.ru_utime + usage.ru_stime)
    return found


def main() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(large_config(), file)
        file.flush()
        for name, words in (
            ("the large graph", ("--dry-run", "--configfile", file.name)),
            ("the default run's plan", ("--dry-run", "--logger", "reasons")),
            ("Snakemake's own start", ("--version",)),
        ):
            for part, (clock, used) in seconds_of(*words).items():
                print(f"{name}, {part}: {clock:.1f} s, {used:.1f} s of the processor", flush=True)


if __name__ == "__main__":
    main()
