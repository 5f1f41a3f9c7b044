"""The judge under attack, at length: two hundred hostile completions, kills at any moment.

Not among the unit tests since it takes minutes: pytest tests/system/test_judge_hostile.py
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hostile_completions import hostile_completions
from judge_processes import workers_of

from reasonmaxxer.config import VerdictsConfig
from reasonmaxxer.verifier.judge import judge_pairs
from reasonmaxxer.verifier.workers.pool import WALL_FACTOR

WORKFLOW = str(Path(__file__).parents[2] / "workflow")
GOLDS = ["7", "x^2+1", r"\{1,2\}", r"\frac{1}{2}", r"\sum_{k=1}^{n} k"]
GIB = 1 << 20  # in kB
OPTIONS = VerdictsConfig(timeout_seconds=1, retry_seconds=2)


class Watch(threading.Thread):
    """Follows the workers of this process: the ids seen and the most memory one held, in kB."""

    def __init__(self) -> None:
        super().__init__()
        self.stop = threading.Event()
        self.seen: set[int] = set()
        self.peak = 0

    def run(self) -> None:
        while not self.stop.wait(0.2):
            for pid in workers_of(os.getpid()):
                self.seen.add(pid)
                try:
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                except OSError:
                    continue
                size = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0")
                self.peak = max(self.peak, int(size.split()[1]))


def test_two_hundred_hostile_completions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = set(Path("/").iterdir())
    completions = hostile_completions(200, seed=0)
    pairs = [(GOLDS[i % len(GOLDS)], text) for i, text in enumerate(completions)]
    watch = Watch()
    watch.start()
    longest, before = 0.0, time.monotonic()
    verdicts = []
    for verdict in judge_pairs(pairs, options=OPTIONS):
        longest, before = max(longest, time.monotonic() - before), time.monotonic()
        verdicts.append(verdict.verdict)
    watch.stop.set()
    watch.join()
    assert len(verdicts) == 200
    assert "correct" not in verdicts
    wall = WALL_FACTOR * (OPTIONS.timeout_seconds + OPTIONS.retry_seconds)
    assert longest < wall + 60, "one completion took longer than its limits and a new worker"
    assert watch.seen and watch.peak < 1.5 * GIB
    assert workers_of(os.getpid()) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in watch.seen)
    assert list(tmp_path.iterdir()) == [] and set(Path("/").iterdir()) == root


def test_kills_at_random_moments_change_no_verdict() -> None:
    rng = random.Random(0)
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(rng.uniform(0.5, 8)):
            for pid in workers_of(os.getpid()):
                os.kill(pid, signal.SIGKILL)

    pairs = [(f"x > {i}", rf"\boxed{{-x < -{i}}}") for i in range(2, 800)]
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        verdicts = {v.verdict for v in judge_pairs(pairs, workers=2)}
    finally:
        stop.set()
        killer.join()
    assert verdicts == {"correct"}


def test_output_is_identical_for_any_number_of_workers_and_hash_seed(tmp_path: Path) -> None:
    texts = [text for text in hostile_completions(28, seed=3) if "\\int" not in text]
    pairs = [(GOLDS[i % len(GOLDS)], text) for i, text in enumerate(texts)]
    pairs += [(f"x > {i}", rf"\boxed{{-x < -{i}}}") for i in range(2, 60)]
    pairs += [(rf"\{{{i},2,1\}}", rf"\boxed{{1, {i}, \sqrt{{4}}}}") for i in range(3, 60)]
    given = tmp_path / "pairs.jsonl"
    given.write_text("".join(json.dumps({"gold": g, "completion": t}) + "\n" for g, t in pairs))
    digests = set()
    for workers in (1, 2, 4):
        for seed in ("0", "1", "12345"):
            out = tmp_path / "out.jsonl"
            flags = ("--input", str(given), "--output", str(out), "--workers", str(workers))
            subprocess.run(
                [sys.executable, "-m", "reasonmaxxer", "judge", *flags],
                check=True,
                capture_output=True,
                env={**os.environ, "PYTHONPATH": WORKFLOW, "PYTHONHASHSEED": seed},
            )
            digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
    assert len(digests) == 1
