"""Break every stage of a run at random moments, run it again, compare with an unbroken run.

    python tests/recovery/break_it.py --seed 1        (make test-recovery)

A run of config/test.yaml is made unbroken. Then its jobs are broken one at a time, each as the
command that Snakemake starts, and a second run is killed whole several times with all its jobs.
What must hold: no half file under an output's name; the next try ends well; what it makes says
the same; finished shards and training steps before the last saved one are not done again. A bit
that is flipped in what a job reads is named, or changes nothing. Results that are moved, a clock
that is set back and a second run on the folder change nothing either. docs/recovery.md has the
table. `--only` and `--reference` do it in parts.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "workflow"))

import faults
import jobs as runs
import whole
from jobs import Job, different, shell
from project_copy import copy_of_the_project
from safetensors import safe_open

from reasonmaxxer import tables

TRIES = 6
CUTS = 4  # of the whole run
WORKERS_LOST = 3
AT_ONCE = 2
SUMMARIES = ("compute_metrics", "render_report", "publish_report")
TORCH = (
    "sample_rollouts",
    "score_rollouts",
    "train_adapter",
    "choose_checkpoint",
    "sample_evaluation",
)


@dataclass(frozen=True)
class Trial:
    what: str
    fault: faults.Fault
    job: Job


def trials(jobs: list[Job], kills: int, rng: random.Random) -> list[Trial]:
    """Every stage killed `kills` times, and broken once in each other way that fits it."""
    of: dict[str, list[Job]] = {}
    for job in jobs:
        of.setdefault(job.rule, []).append(job)
    planned = []
    for rule, choices in of.items():
        others: list[tuple[str, faults.Fault]] = []
        if rule != "publish_report":  # a copy of one file
            others += [("power cut before a rename", faults.power_cut)]
            others += [("disk full", faults.disk_full)]
        if rule in TORCH:
            others += [("out of memory", faults.out_of_memory)]
            others += [("time limit", faults.time_limit)]
        for what, fault in [("kill -9", faults.kill_9)] * kills + others:
            planned.append(Trial(what, fault, rng.choice(choices)))
    # Long ones first, so that both workers end at about the same time.
    return sorted(planned, key=lambda trial: -trial.job.seconds)


def attempt(trial: Trial, reference: Path, rng: random.Random, folder: Path) -> str:
    """Break, run again, compare; returns what is wrong, or nothing."""
    job = trial.job
    if job.rule in SUMMARIES:
        reference = made_here(job, folder)
    for _ in range(TRIES):
        job.clear(folder)
        broken = trial.fault(job, folder, rng)
        if broken and not all((folder / output).exists() for output in job.outputs):
            break  # else it had ended, but for its exit
    else:
        return "it could not be broken: the job ended before every moment"
    half = [f for f in job.outputs if (folder / f).exists()]
    if wrong := different(half, folder, reference):
        return f"a half file: {', '.join(wrong)}"
    seen, saved = training_progress(job, folder)
    again = shell(job, folder)
    if again.wait(faults.PATIENCE):
        return f"the next try failed: {job.log(folder).read_text()[-2000:]}"
    if wrong := different(job.outputs, folder, reference):
        return f"other results: {', '.join(wrong)}"
    if left := job.leftovers(folder):
        return f"left behind: {left[0]}"
    return steps_done_again(job, folder, seen, saved)


def made_here(job: Job, folder: Path) -> Path:
    """A folder with what the job makes unbroken of this folder's files.

    A summary says how fast others were, and trials before this one have made some of them again.
    """
    place = folder / "unbroken"
    if shell(job, folder).wait(faults.PATIENCE):
        raise RuntimeError(job.log(folder).read_text())
    for output in job.outputs:
        (place / output).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / output, place / output)
    return place


def training_progress(job: Job, folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """Steps that a killed training had done, and the log of those that it had saved."""
    if job.rule != "train_adapter" or not job.log(folder).exists():
        return 0, []
    seen = re.findall(r"training:.*?(\d+)/\d+ \[", job.log(folder).read_text())
    saved: list[dict[str, Any]] = []
    for path in (folder / str(job.scratch)).glob("*/state.safetensors"):
        with safe_open(path, "pt") as file:
            saved = json.loads(file.metadata()["log"])
    return int(seen[-1]) if seen else 0, saved


def steps_done_again(job: Job, folder: Path, seen: int, saved: list[dict[str, Any]]) -> str:
    """Whether saved steps were done again: how fast each was tells."""
    if job.rule != "train_adapter":
        return ""
    log = tables.read(folder / job.outputs[0], "training").to_pylist()
    interval = len(log) // (len(job.outputs) - 1)
    for before, after in zip(saved, log, strict=False):
        if not math.isclose(before["tokens_per_second"], after["tokens_per_second"], rel_tol=1e-5):
            return f"step {after['step']} was saved and done again"
    if seen - len(saved) > interval:
        return f"{seen - len(saved)} steps lost, more than the {interval} between checkpoints"
    return ""


def flip_a_bit(job: Job, reference: Path, rng: random.Random, folder: Path) -> str:
    """Flip a bit of a table or of tensors that the job reads: it is named, or changes nothing."""
    if job.rule in SUMMARIES:
        reference = made_here(job, folder)
    file = folder / rng.choice([name for name in job.inputs if is_checked(name)])
    whole = file.read_bytes()
    damaged, bit = bytearray(whole), rng.randrange(8 * len(whole))
    damaged[bit // 8] ^= 1 << bit % 8
    file.write_bytes(damaged)
    try:
        job.clear(folder)
        failed = shell(job, folder).wait(faults.PATIENCE)
    finally:
        file.write_bytes(whole)
    said = job.log(folder).read_text().strip().splitlines()[-1:]
    if failed:
        shell(job, folder).wait(faults.PATIENCE)
        named = file.name in str(said) and "error: " in str(said)
        return "" if named else f"bit {bit} of {file.name}: {said}"
    wrong = different(job.outputs, folder, reference)
    return f"bit {bit} of {file.name} unseen: {', '.join(wrong)}" if wrong else ""


def is_checked(name: str) -> bool:
    """Whether it is one of the run's files that have checksums."""
    return name.startswith("results/") and name.endswith((".parquet", ".safetensors"))


# --- a worker of the verifier, and the whole run ------------------------------------------------


def algebra(reference: Path) -> Job:
    """Answers that only the verifier's workers can compare: the lab's are plain numbers."""
    pairs = [{"gold": f"x > {i}", "completion": rf"\boxed{{-x < -{i}}}"} for i in range(2, 400)]
    text = "".join(json.dumps(pair) + "\n" for pair in pairs)
    (reference / "pairs.jsonl").write_text(text, encoding="utf-8")
    flags = "--input pairs.jsonl --output judged.jsonl --workers 2"
    command = f"python -m reasonmaxxer judge {flags} > judge.log 2>&1"
    job = Job("judge", "judge", command, (), ("judged.jsonl",), 0, 0)
    if shell(job, reference).wait(faults.PATIENCE):
        raise RuntimeError((reference / "judge.log").read_text())
    return job


def lose_workers(job: Job, reference: Path, rng: random.Random, folder: Path) -> str:
    """Kill workers under the verifier while it judges: it goes on by itself."""
    shutil.copy2(reference / "pairs.jsonl", folder)
    job.clear(folder)
    process = shell(job, folder)
    killed = sum(faults.kill_a_worker(process, rng) for _ in range(WORKERS_LOST))
    if not killed:
        return "no worker was seen"
    if process.wait(faults.PATIENCE):
        return "the stage ended with its worker"
    wrong = different(job.outputs, folder, reference)
    return f"other results: {', '.join(wrong)}" if wrong else ""


def cut_whole_run(folder: Path, jobs: list[Job], reference: Path, seconds: float, rng) -> list[str]:
    """Kill Snakemake and all its jobs `CUTS` times on the way; one finding a cut."""
    findings = []
    for _ in range(CUTS):
        process = runs.snakemake(folder)
        time.sleep(rng.uniform(0.5, 1.5) * seconds / CUTS)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        made = {
            output: (folder / output).stat().st_mtime_ns
            for job in jobs
            for output in job.outputs
            if all((folder / o).exists() for o in job.outputs)
        }
        runs.run(folder, "--unlock")
        findings.append(made)
    runs.run(folder)
    return [_redone(made, folder, jobs) for made in findings]


def _redone(made: dict[str, int], folder: Path, jobs: list[Job]) -> str:
    """Jobs that had made all their files before the cut and made them again: those that ran."""
    again = {
        job.name
        for job in jobs
        if all(o in made for o in job.outputs)
        and any((folder / o).stat().st_mtime_ns != made[o] for o in job.outputs)
    }
    return f"done again: {', '.join(sorted(again))}" if len(again) > AT_ONCE else ""


# --- all of it --------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kills", type=int, default=2, help="kill -9 of each stage")
    parser.add_argument("--flips", type=int, default=2, help="bits flipped for each stage")
    parser.add_argument("--only", default="", help="a rule, or words of a fault: these alone")
    parser.add_argument("--reference", type=Path, help="folder of the unbroken run, made if absent")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="recovery-") as name:
        bad = report(Path(name), args, rng)
    sys.exit(bool(bad))


def report(place: Path, args: argparse.Namespace, rng: random.Random) -> int:
    started = time.monotonic()
    reference = args.reference or place / "unbroken"
    if not reference.exists():
        copy_of_the_project(reference)
        runs.run(reference)
    seconds = time.monotonic() - started
    jobs = runs.jobs_of(reference)
    print(f"{len(jobs)} jobs of {len({j.rule for j in jobs})} stages in {seconds:.0f} s unbroken")
    results: list[tuple[str, str, str]] = []
    folders: Queue[Path] = Queue()
    for number in range(AT_ONCE):
        folder = place / f"broken-{number}"
        shutil.copytree(reference, folder, ignore=shutil.ignore_patterns(".snakemake"))
        folders.put(folder)

    def one(what: str, job: Job, action: Callable[[Path], str]) -> None:
        folder = folders.get()
        began = time.monotonic()
        try:
            finding = action(folder)
        except Exception as error:  # a failure of one trial, not of the script
            finding = f"{type(error).__name__}: {error}"
        if finding:  # later jobs of this folder read these
            for output in job.outputs:
                shutil.copy2(reference / output, folder / output)
        folders.put(folder)
        results.append((what, job.name, finding))
        took = time.monotonic() - began
        print(f"  {what}, {job.name}: {finding or 'recovered'} ({took:.0f} s)", flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for trial in trials(jobs, args.kills, rng):
            if args.only in f"{trial.what}, {trial.job.rule}":
                own = random.Random(rng.random())
                pool.submit(one, trial.what, trial.job, partial(attempt, trial, reference, own))
        for job in flippable(jobs, args.flips, rng):
            if args.only in f"bit flipped, {job.rule}":
                own = random.Random(rng.random())
                pool.submit(one, "bit flipped", job, partial(flip_a_bit, job, reference, own))
        if args.only in "workers killed, judge":
            job = algebra(reference)
            pool.submit(one, "workers killed", job, partial(lose_workers, job, reference, rng))
    made = [o for j in jobs for o in j.outputs if is_table(o)]
    if args.only in "kill -9 of the whole run":
        folder = copy_of_the_project(place / "whole")
        cuts = cut_whole_run(folder, jobs, reference, seconds, rng)
        wrong = different(made, folder, reference)
        print(f"  the whole run killed {len(cuts)} times: {wrong or 'same results'} {cuts}")
        results += [("kill -9 of the whole run", "", cut or ", ".join(wrong)) for cut in cuts]
    for what, check in whole.CHECKS.items():
        for name, finding in check(place, reference, made) if args.only in what else ():
            results.append((what, name, finding))
            print(f"  {what}, {name}: {finding or 'recovered'}", flush=True)
    return summary(results, time.monotonic() - started)


def flippable(jobs: list[Job], flips: int, rng: random.Random) -> list[Job]:
    """Some jobs of each stage that read files with checksums."""
    of: dict[str, list[Job]] = {}
    for job in jobs:
        if any(map(is_checked, job.inputs)):
            of.setdefault(job.rule, []).append(job)
    return [rng.choice(choices) for choices in of.values() for _ in range(flips)]


def is_table(output: str) -> bool:
    """Pages and summaries say how fast a run was; tables and weights must be the same."""
    return output.endswith((".parquet", ".safetensors", "metrics.json"))


def summary(results: list[tuple[str, str, str]], seconds: float) -> int:
    tried = Counter(what for what, _, _ in results)
    bad = [result for result in results if result[2]]
    failed = Counter(what for what, _, _ in bad)
    for what, count in tried.items():
        print(f"{what}: {count - failed[what]} of {count} recovered")
    for what, name, finding in bad:
        print(f"NOT RECOVERED: {what}, {name}: {finding}")
    print(f"{len(results) - len(bad)} of {len(results)} recovered in {seconds:.0f} s")
    return len(bad)


if __name__ == "__main__":
    main()
