"""Command `gpus`: a command on GPUs of this machine that no other job has.

A cluster's scheduler gives each job its GPUs. On one machine Snakemake only counts them, so the
jobs of a run, and of other runs beside it, take theirs from a pool here: a lock for each GPU,
held by the job's own process, so that the kernel gives it back however the job ends.
"""

import argparse
import fcntl
import os
import re
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ..analysis import spent
from ..errors import UserError
from ..tables.reuse import POOL

HELP = "run a command on GPUs of this machine that no other job has (CUDA_VISIBLE_DEVICES)"

VISIBLE = "CUDA_VISIBLE_DEVICES"
# Batches of every size leave PyTorch's memory in pieces that no other fits, unless its blocks can
# grow. An engine, which is told its share of the memory, has an order of its own.
ALLOCATOR = "PYTORCH_ALLOC_CONF", "expandable_segments:True"
ENGINES_FLAG = "--gpu-memory-utilization"
SECONDS_BETWEEN_LOOKS = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("count", type=int, help="GPUs it needs")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command, with its arguments")


def main(args: argparse.Namespace) -> None:
    pool = os.environ.get(POOL)
    if pool:
        # A job that asks for none must see none: what it found would be another job's.
        mine = claim(args.count, slots(), Path(pool)) if args.count else []
        os.environ[VISIBLE] = ",".join(mine)
    if args.count:
        check_usable(args.count)
    os.environ[spent.GPUS] = str(args.count)
    if ENGINES_FLAG not in args.command:
        os.environ.setdefault(*ALLOCATOR)
    try:
        os.execvp(args.command[0], args.command)
    except OSError as error:
        raise UserError(f"{args.command[0]}: {error.strerror}") from error


def check_usable(count: int) -> None:
    """Raise `UserError` where PyTorch cannot use `count` GPUs: it would take the CPU instead.

    Asks CUDA itself, which leaves nothing behind in the command that this process becomes.
    """
    import torch

    if torch.version.cuda is None:
        raise UserError(
            f"the job asks for {count} GPUs, but this environment has the CPU build of "
            "PyTorch; make the one for GPUs: make env LOCK=envs/cuda.txt"
        )
    try:
        torch.cuda.init()
        seen = torch.cuda.device_count()
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"the job asks for {count} GPUs, and PyTorch (CUDA {torch.version.cuda}) can use none: "
            f"{str(error).splitlines()[0].rstrip('.')}; is the driver (nvidia-smi) too old for it?"
        ) from error
    if seen < count:
        raise UserError(
            f"the job asks for {count} GPUs, but PyTorch sees {seen} "
            f"({VISIBLE}={os.environ.get(VISIBLE)})"
        )


def default_pool() -> Path:
    """The folder of the locks that all runs of this user on this machine share."""
    return Path(tempfile.gettempdir()) / f"reasonmaxxer-gpus-{os.getuid()}"


def slots() -> list[str]:
    """The GPUs of the pool: those of CUDA_VISIBLE_DEVICES, or all that the driver names.

    One that is listed twice may have two jobs.
    """
    visible = os.environ.get(VISIBLE)
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    return _driver("index")


def memory_gb() -> list[float]:
    """Memory of the pool's GPUs, of those where the driver says it."""
    return [mib * 2**20 / 1e9 for mib in _numbers("memory.total")]


def capabilities() -> list[float]:
    """CUDA compute capability of the pool's GPUs, such as 8.0 of an A100."""
    return _numbers("compute_cap")


def _numbers(field: str) -> list[float]:
    """What the driver says of the pool's GPUs, without `[N/A]` and the like."""
    pool = ",".join(dict.fromkeys(slots()))
    said = _driver(field, "-i", pool) if pool else []
    return [float(word) for word in said if re.fullmatch(r"[\d.]+", word)]


def _driver(field: str, *which: str) -> list[str]:
    """What the driver says of each GPU; nothing if there is no driver, or no such GPU."""
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits", *which]
    try:
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [line.strip() for line in said.splitlines()]


def claim(count: int, slots: Sequence[str], folder: Path) -> list[str]:
    """Lock `count` different GPUs for as long as this process lives, and name them.

    Waits until enough are free. Raises `UserError` when there are not that many.
    """
    if len(set(slots)) < count:
        raise UserError(
            f"the job asks for {count} GPUs, but this machine offers {len(set(slots))} "
            f"({VISIBLE} or nvidia-smi); lower resources.*.gpu in the config"
        )
    _make_own(folder)
    # One job at a time collects: two that held a part each would wait for one another for ever.
    with (folder / "door").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        held: list[str] = []
        _take(count, slots, folder, held)
        if len(held) < count:
            print(f"waiting for {count} of the GPUs {', '.join(slots)}", file=sys.stderr)
        while len(held) < count:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            _take(count, slots, folder, held)
    return sorted(held, key=slots.index)


def _make_own(folder: Path) -> None:
    """Make the folder of the locks. Its name can be guessed, and anybody may write to /tmp."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UserError(
            f"{folder}: the folder of the GPUs' locks is a link or belongs to another user; "
            "remove it, or set TMPDIR to a folder of your own"
        )


def _take(count: int, slots: Sequence[str], folder: Path, held: list[str]) -> None:
    """Add what is free to `held`, up to `count`."""
    for index, name in enumerate(slots):
        if len(held) < count and name not in held:
            occupant = slots[:index].count(name)
            if _lock(folder / f"{name}.{occupant}"):
                held.append(name)


def _lock(path: Path) -> bool:
    """Lock the file until this process, or the command that it becomes, has ended."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    os.set_inheritable(file, True)
    return True
