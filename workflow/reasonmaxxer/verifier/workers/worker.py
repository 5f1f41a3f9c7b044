"""The isolated process that compares answers with computer algebra.

Started by pool.py as `python -m reasonmaxxer.verifier.workers.worker`: one JSON request a line on
standard input, one JSON reply a line on standard output. It lives under a memory limit above its
own size, cannot write files, stops itself by a timer of CPU time (so that a loaded machine does not
change a verdict), and dies with its parent.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TextIO

PR_SET_PDEATHSIG = 1
MIB = 1 << 20


class OutOfTime(BaseException):
    """The CPU budget is spent. Not an Exception: sympy and math-verify catch those."""


class Clock:
    """A timer of this process's CPU time, repeated in case an `except` clause swallows it."""

    def __init__(self) -> None:
        self.armed = False
        signal.signal(signal.SIGPROF, self._ring)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        if self.armed:
            raise OutOfTime

    def start(self, seconds: float) -> None:
        self.armed = True
        signal.setitimer(signal.ITIMER_PROF, seconds, 0.1)

    def stop(self) -> None:
        self.armed = False
        signal.setitimer(signal.ITIMER_PROF, 0)


def die_with_parent(parent: int) -> None:
    """Ask the kernel (Linux) for SIGKILL when the parent goes; elsewhere end of input does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def limit_resources(memory_mb: int) -> None:
    """At most `memory_mb` MiB above the present size; no files, no core dumps."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + memory_mb * MIB
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


Decide = Callable[[str, str], tuple[str, str]]


def decision(verifier: str, folder: str) -> Decide:
    """What compares a reference and an answer, all of its imports done.

    Raises ValueError where a user's own verifier, given relative to `folder`, cannot be had.
    """
    if verifier == "math-verify":
        from . import second

        second.decide("1", r"$\boxed{x+1}$")
        return second.decide
    if verifier != "math":
        from . import custom

        os.chdir(folder)
        function = custom.load(verifier)
        os.chdir("/")
        return lambda gold, completion: custom.verdict(function, gold, completion)
    from ..symbolic import decide

    # What is loaded on first use counts neither as time of a request nor against its memory.
    for pair in (("x > 2", "-x < -2"), ("2x+y=1", "y=1-2x"), (r"\int_0^1 x dx", r"\frac{1}{2}")):
        decide(*pair)
    return decide


def answer(request: dict, clock: Clock, decide: Decide) -> dict:
    """Compare one pair within its CPU budget. A reply with "leave" asks for a new worker."""
    try:
        clock.start(request["cpu"])
        verdict, reason = decide(request["gold"], request["answer"])
        clock.stop()
    except OutOfTime:
        clock.stop()
        return {"verdict": "timeout", "reason": "time limit", "retry": True}
    except MemoryError:
        clock.stop()
        return {"verdict": "timeout", "reason": "memory", "leave": True}
    except RecursionError:
        clock.stop()
        return {"verdict": "unparseable", "reason": "nesting", "leave": True}
    except Exception as error:
        clock.stop()
        return {"verdict": "unparseable", "reason": f"algebra failed: {type(error).__name__}"}
    return {"verdict": verdict, "reason": reason}


def serve(requests: TextIO, replies: TextIO, decide: Decide) -> None:
    """Answer until the input ends."""
    clock = Clock()
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in requests:
        print(json.dumps(answer(json.loads(line), clock, decide)), file=replies, flush=True)


def main() -> None:
    """Take over the pipes, load the algebra, close the doors, serve."""
    memory_mb, parent = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    die_with_parent(parent)
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a library prints is no reply

    try:
        decide = decision(sys.argv[3], sys.argv[4])
    except ValueError as error:
        print(json.dumps({"error": str(error)}), file=replies, flush=True)
        return
    sys.setrecursionlimit(3000)
    limit_resources(memory_mb)
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin, replies, decide)


if __name__ == "__main__":
    main()
