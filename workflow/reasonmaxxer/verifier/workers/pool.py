"""Isolated worker processes: started when first needed, killed when stuck, replaced when lost.

A request has a budget of CPU time, kept by the worker itself, and a wall-clock limit, kept here
with SIGKILL. What ran out of either, or was in a worker that died, is tried again alone with the
larger budget, so that neither load nor a stray kill changes a verdict.
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ...errors import UserError
from . import worker as worker_module

WALL_FACTOR = 6  # wall seconds allowed for one second of CPU budget
START_SECONDS = 300  # to import the algebra on a busy machine
REQUESTS_BEFORE_RECYCLING = 2000
MAX_DEATHS = 8  # of workers under one request, before the request is blamed


@dataclass
class Task:
    """One pair to compare, and what became of it."""

    gold: str
    answer: str
    verdict: str | None = None
    reason: str = ""
    alone: bool = False
    deaths: int = 0


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    deadline: float
    ready: bool = False
    task: Task | None = None
    served: int = 0
    received: bytearray = field(default_factory=bytearray)

    @property
    def idle(self) -> bool:
        return self.ready and self.task is None


class Pool:
    """Up to `workers` processes comparing pairs in the background."""

    def __init__(
        self,
        workers: int,
        *,
        timeout_seconds: float,
        retry_seconds: float,
        memory_mb: int,
        verifier: str = "math",
    ) -> None:
        self.size = workers
        self.timeout_seconds = timeout_seconds
        self.retry_seconds = retry_seconds
        self.memory_mb = memory_mb
        self.verifier = verifier
        self._workers: list[_Worker] = []
        self._queue: deque[Task] = deque()
        self._retries: deque[Task] = deque()
        self._selector = selectors.DefaultSelector()
        self._failed_starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, task: Task) -> None:
        """Queue a task; its `verdict` is set by a later `wait`."""
        self._queue.append(task)
        self.wait(0)

    @property
    def waiting(self) -> int:
        """Tasks that no worker has taken yet."""
        return len(self._queue) + len(self._retries)

    def wait(self, seconds: float) -> None:
        """Take replies in, for up to `seconds` or until the first event; hand tasks out."""
        self._dispatch()
        if self._workers:
            for key, _ in self._selector.select(min(seconds, 0.1)):
                self._receive(key.data)
            self._kill_overdue()
            self._dispatch()

    def close(self) -> None:
        """Kill every worker and wait for its end."""
        for worker in list(self._workers):
            self._remove(worker)
        self._selector.close()

    # --- handing out ----------------------------------------------------------------------------

    def _dispatch(self) -> None:
        busy = [worker for worker in self._workers if worker.task]
        if self._retries:  # alone: nothing new starts until what runs has ended
            if not busy:
                self._hand_out(self._retries, self.retry_seconds)
            return
        while self._queue and self._hand_out(self._queue, self.timeout_seconds):
            pass
        starting = sum(not worker.ready for worker in self._workers)
        while len(self._queue) > starting and len(self._workers) < self.size:
            self._start()
            starting += 1

    def _hand_out(self, tasks: deque[Task], budget: float) -> bool:
        worker = next((worker for worker in self._workers if worker.idle), None)
        if worker is None:
            if not self._workers:
                self._start()
            return False
        task = worker.task = tasks.popleft()
        worker.deadline = time.monotonic() + WALL_FACTOR * budget
        request = {"gold": task.gold, "answer": task.answer, "cpu": budget}
        assert worker.process.stdin is not None
        try:
            worker.process.stdin.write(json.dumps(request).encode() + b"\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            self._lost(worker)
        return True

    def _start(self) -> None:
        package = Path(__file__).resolve().parents[3]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(package), os.environ.get("PYTHONPATH", "")])
            ),
            # With gmpy2 a single call into C can outlast any timer of Python's.
            "SYMPY_GROUND_TYPES": "python",
            "MPMATH_NOGMPY": "1",
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", worker_module.__name__),
                *(str(self.memory_mb), str(os.getpid()), self.verifier, str(Path.cwd())),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd="/",
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        worker = _Worker(process, deadline=time.monotonic() + START_SECONDS)
        self._workers.append(worker)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)

    # --- taking in ------------------------------------------------------------------------------

    def _receive(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        data = worker.process.stdout.read(65536)
        if data is None:
            return
        if not data:
            self._lost(worker)
            return
        worker.received += data
        while b"\n" in worker.received:
            line, _, worker.received = worker.received.partition(b"\n")
            self._reply(worker, json.loads(line))

    def _reply(self, worker: _Worker, reply: dict) -> None:
        if reply.get("error"):
            raise UserError(f"verdicts.verifier: {reply['error']}")
        if reply.get("ready"):
            worker.ready = True
            self._failed_starts = 0
            return
        task, worker.task = worker.task, None
        worker.served += 1
        assert task is not None
        if reply.get("retry") and not task.alone:
            self._again(task)
        else:
            task.verdict, task.reason = reply["verdict"], reply["reason"]
        if reply.get("leave") or worker.served >= REQUESTS_BEFORE_RECYCLING:
            self._remove(worker)

    def _again(self, task: Task) -> None:
        task.alone = True
        self._retries.append(task)

    def _lost(self, worker: _Worker) -> None:
        """A worker ended by itself or by somebody's signal: its task is tried again."""
        task, was_ready = worker.task, worker.ready
        status = self._remove(worker)
        if not was_ready and status > 0:  # an error of its own, not a signal
            self._failed_starts += 1
            if self._failed_starts > MAX_DEATHS:
                raise RuntimeError(
                    f"the comparison worker ended {self._failed_starts} times before it was ready;"
                    f" its error stands above (python -m {worker_module.__name__})"
                )
        if task is None:
            return
        task.deaths += 1
        if task.deaths > MAX_DEATHS:
            task.verdict, task.reason = "timeout", "worker died"
        else:
            self._again(task)

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            if now < worker.deadline or worker.idle:
                continue
            task = worker.task
            if task is None:
                self._lost(worker)
                continue
            self._remove(worker)
            if task.alone:
                task.verdict, task.reason = "timeout", "time limit"
            else:
                self._again(task)

    def _remove(self, worker: _Worker) -> int:
        """End a worker, if it has not ended, and return its exit status."""
        self._workers.remove(worker)
        process = worker.process
        assert process.stdout is not None and process.stdin is not None
        self._selector.unregister(process.stdout)
        process.kill()
        status = process.wait()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # a request was still in the buffer
            process.stdin.close()
        return status
