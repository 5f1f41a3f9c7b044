"""Ways to break a running job. Each says whether the job was broken: a moment can come too late."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from jobs import Job, shell

PAGE = 4096
DISK = 1 << 20
PATIENCE = 300.0  # seconds after which a job that still runs counts as hung

Fault = Callable[[Job, Path, random.Random], bool]


def kill_9(job: Job, folder: Path, rng: random.Random) -> bool:
    """SIGKILL for the job and all its processes, at a random moment."""
    process = shell(job, folder)
    return _ends_within(process, rng.uniform(0, job.seconds)) is None and _end(process)


def time_limit(job: Job, folder: Path, rng: random.Random) -> bool:
    """What a scheduler does at the limit: SIGTERM, then SIGKILL."""
    process = shell(job, folder)
    if _ends_within(process, rng.uniform(0, job.seconds)) is not None:
        return False
    os.killpg(process.pid, signal.SIGTERM)
    time.sleep(0.5)
    return _end(process)


def power_cut(job: Job, folder: Path, rng: random.Random) -> bool:
    """The end comes between writing a file and renaming it."""
    start, found, end = job.command.rpartition("python -m reasonmaxxer ")
    assert found, job.command
    script = Path(__file__).with_name("die_before_rename.py")
    number = rng.randint(1, len(job.outputs))
    process = shell(job, folder, f"{start}python {script} {number} {end}")
    return _ends_within(process, PATIENCE) != 0 and _end(process)


def disk_full(job: Job, folder: Path, rng: random.Random) -> bool:
    """The outputs go to a disk with room for half of the largest at most (mounting needs root)."""
    command = job.command
    for made in filter(None, (*job.outputs, job.scratch)):
        command = command.replace(made, f"full/{made}")
    room = job.size // 2 // PAGE * PAGE
    (folder / "full").mkdir(exist_ok=True)
    shutil.rmtree(folder / "found", ignore_errors=True)
    process = shell(
        job,
        folder,
        f"mount -t tmpfs -o size={DISK} none full; head -c {DISK - room} /dev/zero > full/filler;"
        f"status=0; ( {command} ) || status=$?; cp -r full found; exit $status",
        wrapper=("unshare", "--mount"),
    )
    if _ends_within(process, PATIENCE) == 0:
        return False
    for made in job.outputs:  # what a full disk left, for the caller to look at
        if (folder / "found" / made).exists():
            shutil.copy2(folder / "found" / made, folder / made)
    return _end(process)


def out_of_memory(job: Job, folder: Path, rng: random.Random) -> bool:
    """From a random moment on the job gets no more memory."""
    process = shell(job, folder)
    if _ends_within(process, rng.uniform(0, job.seconds)) is not None:
        return False
    for pid in group(process.pid):
        with contextlib.suppress(OSError):
            size = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * PAGE
            resource.prlimit(pid, resource.RLIMIT_AS, (size, size))
    return _ends_within(process, PATIENCE) != 0 and _end(process)


def group(leader: int) -> list[int]:
    """The processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getpgid(int(entry.name)) == leader:
                    found.append(int(entry.name))
    return found


def kill_a_worker(process: subprocess.Popen[bytes], rng: random.Random) -> bool:
    """SIGKILL for one of the verifier's workers under the running job; the job itself goes on."""
    while process.poll() is None:
        for pid in group(process.pid):
            with contextlib.suppress(OSError):
                if b"verifier.workers.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    time.sleep(rng.uniform(0, 1))
                    os.kill(pid, signal.SIGKILL)
                    return True
        time.sleep(0.05)
    return False


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _end(process: subprocess.Popen[bytes]) -> bool:
    """Kill what is left of the job's process group and wait for its end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True
