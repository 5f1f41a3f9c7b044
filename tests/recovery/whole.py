"""What can happen to a whole finished run: it is moved, its clock goes back, a second run comes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jobs as runs
from jobs import different
from project_copy import copy_of_the_project

DAY = 86400
FASTER = "training: {learning_rate: 1.0e-3}"
OTHERS = {
    "another learning rate": FASTER,
    "another seed": "rollouts: {seed: 7}",
    "another name": "run: other",
}
NOTHING = "nothing to do"
FIRST = "training of random-gate, reasonmaxxer: training.learning_rate 0.0003 -> 0.001"

Finding = tuple[str, str]  # what was tried, and what is wrong with it, or nothing


def planned(folder: Path, change: str = "{}") -> str:
    return runs.run(folder, "--dry-run", "--logger", "reasons", change=change)


def plans_right(folder: Path) -> str:
    """What is wrong with the plans for the same config and for another learning rate."""
    same, other = planned(folder), planned(folder, FASTER)
    if NOTHING not in same:
        return f"the same config: {same}"
    return "" if FIRST in other and "rollouts" not in other else f"another config: {other}"


def moved(place: Path, reference: Path, files: list[str]) -> Iterator[Finding]:
    """Results in another project, copied in several ways."""
    every, without = shutil.ignore_patterns(), shutil.ignore_patterns(".reuse")
    ways = {
        "with the times of its files": (every, shutil.copy2),
        "without them": (every, shutil.copyfile),
        "without the store of reuse": (without, shutil.copyfile),
    }
    for way, (ignored, copy) in ways.items():
        folder = copy_of_the_project(place / f"moved {way}")
        shutil.copytree(
            reference / "results", folder / "results", ignore=ignored, copy_function=copy
        )
        yield way, plans_right(folder)
    folder = place / "moved whole"
    shutil.copytree(reference, folder, copy_function=shutil.copyfile)
    yield "the whole project", plans_right(folder)
    shutil.rmtree(folder / ".snakemake")
    yield "without .snakemake", plans_right(folder)
    everything = planned(copy_of_the_project(place / "empty")).splitlines()[-1]
    for name in ("problems", "rollouts", "training", "adapters"):
        part = copy_of_the_project(place / f"moved {name}")
        shutil.copytree(reference / "results/test" / name, part / "results/test" / name)
        said = planned(part)
        yield f"{name} without what they were made from", "" if everything in said else said


def clock_set_back(place: Path, reference: Path, files: list[str]) -> Iterator[Finding]:
    """Files of a time to come, and jobs that run yesterday and again when the clock is right."""
    folder = place / "clock"
    shutil.copytree(reference, folder)
    made = sorted((folder / "results/test").rglob("*.parquet"))
    for days in (-1, 1, 400):
        for path in made[:: 2 if days > 0 else 3]:
            time = path.stat().st_mtime + days * DAY
            os.utime(path, (time, time))
        yield f"files {days} days off", plans_right(folder)
    folder = place / "clock-back"  # whose files are of today
    shutil.copytree(reference, folder)
    yesterday = ("env", "NO_FAKE_STAT=1", "faketime", "-f", "-1d")
    for stage in ("selection", "verdicts", "metrics"):
        # Snakemake refuses what is older than its inputs, in words, and removes it.
        said = runs.snakemake(folder, "-R", stage, wrapper=yesterday).communicate()[0]
        yield f"{stage} run yesterday", "" if "clock skew" in said else said[-2000:]
        runs.run(folder, "-R", stage)
        wrong = different(files, folder, reference)
        yield f"{stage} run yesterday, then today", ", ".join(wrong) or plans_right(folder)


def two_at_once(place: Path, reference: Path, files: list[str]) -> Iterator[Finding]:
    """A second run on the folder while one is at work: refused, and the first one unharmed."""
    folder = place / "two"
    shutil.copytree(reference, folder, ignore=shutil.ignore_patterns(".reuse"))
    shutil.rmtree(folder / "results/test/evaluation")
    for name in ("metrics.json", "report.html", "../report.html"):  # what would do without it
        (folder / "results/test" / name).unlink()
    first = runs.snakemake(folder)
    while not any((folder / ".snakemake/locks").glob("*.lock")):
        assert first.poll() is None
    for other, change in OTHERS.items():
        second = runs.snakemake(folder, change=change)
        said = second.communicate()[0]
        refused = second.returncode and "Directory cannot be locked" in said
        yield other, "" if refused and "Traceback" not in said else said
    said = first.communicate()[0]
    wrong = said[-2000:] if first.returncode else ", ".join(different(files, folder, reference))
    yield "the first one", wrong or plans_right(folder)
    job = next(job for job in runs.jobs_of(reference) if job.rule == "train_adapter")
    job.clear(folder)
    both: list[subprocess.Popen[bytes]] = [runs.shell(job, folder) for _ in range(2)]
    failed = [process.wait() for process in both]
    wrong = ", ".join(different(job.outputs, folder, reference))
    yield "one job twice (--nolock)", wrong or (f"exits {failed}" if any(failed) else "")


CHECKS = {
    "folder moved": moved,
    "clock set back": clock_set_back,
    "two runs at once": two_at_once,
}
