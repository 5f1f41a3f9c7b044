"""GPUs of one machine: jobs that run at the same time, real processes, never on the same GPU.

No GPU is needed: what is tested is who is told to use which. What PyTorch sees of a GPU is told by
a module in its place.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reasonmaxxer.errors import UserError
from reasonmaxxer.graph.gpus import claim

ROOT = Path(__file__).parents[2]
# A job that writes when it began and ended and what it was given; it takes some seconds, or says
# that it has begun and goes on once a file is there.
JOB = """
import os, pathlib, sys, time
began = time.monotonic()
until = pathlib.Path(sys.argv[1])
if until.is_absolute():
    until.with_name(f"began-{os.getpid()}").touch()
    while not until.exists():
        time.sleep(0.05)
else:
    time.sleep(float(sys.argv[1]))
print(os.environ.get("CUDA_VISIBLE_DEVICES"), began, time.monotonic())
"""
# A CUDA build of PyTorch that sees what it is shown, or what a test says.
PYTORCH = """
import os
class version:
    cuda = "13.0"
class cuda:
    def init():
        if "ERROR" in os.environ:
            raise RuntimeError(os.environ["ERROR"])
    def device_count():
        return int(os.environ.get("SEEN") or len(os.environ["CUDA_VISIBLE_DEVICES"].split(",")))
"""


@pytest.fixture(autouse=True, scope="module")
def pytorch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pytorch")
    (folder / "torch.py").write_text(PYTORCH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{folder}:{ROOT / 'workflow'}")
        yield


def start(pool: Path | None, visible: str | None, count: int, until: float | Path):
    environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    environment["REASONMAXXER_GPU_POOL"] = str(pool or "")
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    command = [sys.executable, "-m", "reasonmaxxer", "gpus", str(count)]
    return subprocess.Popen(
        [*command, sys.executable, "-c", JOB, str(until)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process) -> tuple[list[str], float, float]:
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    gpus, began, ended = out.split()
    return gpus.split(","), float(began), float(ended)


def most_at_once(jobs: list[tuple[list[str], float, float]], gpu: str) -> int:
    """The most jobs that had this GPU at one moment."""
    mine = [(began, ended) for gpus, began, ended in jobs if gpu in gpus]
    return max(sum(b <= moment < e for b, e in mine) for moment, _ in mine)


def test_jobs_at_the_same_time_never_share_a_gpu(tmp_path):
    counts = [1, 2, 1, 2, 1, 1, 2, 1]
    jobs = [finished(job) for job in [start(tmp_path, "0,1,3", n, 0.3) for n in counts]]
    assert [len(set(gpus)) for gpus, _, _ in jobs] == counts
    assert {gpu for gpus, _, _ in jobs for gpu in gpus} == {"0", "1", "3"}
    assert all(most_at_once(jobs, gpu) == 1 for gpu in "013")


def test_a_gpu_named_twice_may_have_two_jobs_and_a_job_gets_two_different_ones(tmp_path):
    # Three jobs fill the four places, the one for two GPUs first.
    go = tmp_path / "go"
    started = []
    for count in (2, 1, 1):
        started.append(start(tmp_path / "pool", "0,0,1,1", count, go))
        while len(list(tmp_path.glob("began-*"))) < len(started):
            time.sleep(0.05)
    go.touch()
    jobs = [finished(job) for job in started]
    assert all(len(set(gpus)) == len(gpus) for gpus, _, _ in jobs)
    assert {most_at_once(jobs, gpu) for gpu in "01"} == {2}


def test_a_killed_job_gives_its_gpu_back(tmp_path):
    first = start(tmp_path, "0", 1, 60)
    while not list(tmp_path.glob("0.*")):
        time.sleep(0.05)
    second = start(tmp_path, "0", 1, 0)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert finished(second)[0] == ["0"]


@pytest.mark.parametrize("count", [0, 2])
def test_what_a_scheduler_gave_is_left_alone(count):
    gpus, _, _ = finished(start(None, "5,7", count, 0))
    assert gpus == ["5", "7"]


@pytest.mark.parametrize("visible", ["5,7", None])
def test_a_job_without_gpus_sees_none_of_the_pools(tmp_path, visible):
    job = start(tmp_path, visible, 0, 0)
    assert job.communicate(timeout=60)[0].startswith(" ")
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_asks_for_more_than_there_is_says_so(tmp_path):
    job = start(tmp_path, "0,0", 2, 0)
    error = job.communicate(timeout=60)[1]
    assert job.returncode == 2
    assert "asks for 2 GPUs, but this machine offers 1" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (
            {"ERROR": "The NVIDIA driver on your system is too old (found version 12040).\nMore"},
            "PyTorch (CUDA 13.0) can use none: The NVIDIA driver on your system is too old (found "
            "version 12040); is the driver (nvidia-smi) too old for it?",
        ),
        ({"SEEN": "1"}, "asks for 2 GPUs, but PyTorch sees 1 (CUDA_VISIBLE_DEVICES=0,1)"),
    ],
)
def test_gpus_that_pytorch_cannot_use_stop_the_job(tmp_path, monkeypatch, seen, message):
    for name, value in seen.items():
        monkeypatch.setenv(name, value)
    job = start(tmp_path, "0,1", 2, 0)
    out, error = job.communicate(timeout=60)
    assert (job.returncode, out) == (2, "")
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("flags", "own", "expected"),
    [
        ([], None, "expandable_segments:True"),
        ([], "max_split_size_mb:512", "max_split_size_mb:512"),
        (["--gpu-memory-utilization", "0.9"], None, "None"),
    ],
    ids=["torch", "the user's own", "an engine"],
)
def test_pytorchs_memory_may_grow_where_no_engine_orders_it(monkeypatch, flags, own, expected):
    name = "PYTORCH_ALLOC_CONF"
    monkeypatch.delenv(name, raising=False)
    if own:
        monkeypatch.setenv(name, own)
    said = [sys.executable, "-c", f"import os; print(os.environ.get('{name}'))", *flags]
    command = [sys.executable, "-m", "reasonmaxxer", "gpus", "0", *said]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == expected


def test_a_job_for_a_gpu_does_not_run_in_the_cpu_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "workflow"))
    job = start(None, "0", 1, 0)  # a scheduler gave it the GPU
    out, error = job.communicate(timeout=60)
    assert (job.returncode, out) == (2, "")
    assert "make env LOCK=envs/cuda.txt" in error


def test_the_locks_lie_in_a_folder_of_the_users_own(tmp_path):
    assert finished(start(tmp_path / "pool", "0", 1, 0))[0] == ["0"]
    assert (tmp_path / "pool").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "pool")
    job = start(tmp_path / "link", "0", 1, 0)
    out, error = job.communicate(timeout=60)
    assert (job.returncode, out) == (2, "")
    assert "link: the folder of the GPUs' locks is a link or belongs to another user" in error


def test_a_folder_of_another_user_is_not_used(tmp_path, monkeypatch):
    folder = tmp_path / "pool"
    folder.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(
        UserError, match="pool: the folder of the GPUs' locks is a link or belongs to another"
    ):
        claim(1, ["0"], folder)
    assert list(folder.iterdir()) == []
