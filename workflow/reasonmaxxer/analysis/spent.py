"""What a job spent, as the last line of its log: processor time, and time of the GPUs it held.

Snakemake measures a job's processor time now and then, at last up to half a minute before its end,
and never what its GPUs are for; wall-clock time measures the machine's other work as well.
"""

import os
import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path

NOT_IN_KEY = {"Laps": "what a job says of itself, not what it makes"}

GPUS = "REASONMAXXER_GPUS"  # how many the job holds; set by the command `gpus`
LINE = re.compile(r"^spent: ([\d.]+) s of processor time, ([\d.]+) s of GPU time$", re.M)
STARTED = time.monotonic()


@dataclass(frozen=True)
class Spent:
    """Seconds of processors, and seconds times GPUs."""

    processor: float
    gpu: float


def so_far() -> Spent:
    """By this process and those that it has started and seen end.

    torchrun's processes share the GPUs of their job, and each writes a line of its own.
    """
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(one.ru_utime + one.ru_stime for one in used)
    gpus = int(os.environ.get(GPUS, 0)) / int(os.environ.get("WORLD_SIZE", 1))
    gpu = gpus * (time.monotonic() - STARTED)
    return Spent(processor, gpu)


def line(of: Spent | None = None) -> str:
    """The line, for what was spent so far or for a share of it."""
    of = of or so_far()
    return f"spent: {of.processor:.2f} s of processor time, {of.gpu:.2f} s of GPU time"


class Laps:
    """The lines of what a process makes one after the other: each since the one before."""

    def __init__(self) -> None:
        self._last = Spent(0.0, 0.0)

    def line(self) -> str:
        before, self._last = self._last, so_far()
        return line(Spent(self._last.processor - before.processor, self._last.gpu - before.gpu))


def read(log: Path) -> Spent | None:
    """What a log says was spent; None where it says nothing."""
    try:
        found = LINE.findall(log.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    if not found:
        return None
    return Spent(*(sum(float(line[place]) for line in found) for place in (0, 1)))
