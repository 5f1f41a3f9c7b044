"""What a job spends, measured by itself: its own processor time and that of what it started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reasonmaxxer.analysis import spent

ROOT = Path(__file__).parents[2]
WORK = """
import subprocess, sys, time
from reasonmaxxer.analysis import spent
def work(seconds):
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass
work(0.3)
subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.4: pass"])
time.sleep(0.5)
print(spent.line(), file=sys.stderr)
"""


def said(**environment: str) -> spent.Spent:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), **environment}
    done = subprocess.run(
        [sys.executable, "-c", WORK], env=env, capture_output=True, text=True, check=True
    )
    log = Path(env["LOG"])
    log.write_text(f"a line of its own\n{done.stderr}", encoding="utf-8")
    found = spent.read(log)
    assert found is not None
    return found


def test_processor_time_holds_the_children_and_no_waiting(tmp_path: Path) -> None:
    found = said(LOG=str(tmp_path / "log"))
    assert 0.7 <= found.processor < 1.1
    assert found.gpu == 0


@pytest.mark.parametrize(("processes", "gpus"), [("1", 2.0), ("2", 1.0)])
def test_gpu_time_is_the_clocks_for_each_gpu_a_process_holds(
    tmp_path: Path, processes: str, gpus: float
) -> None:
    found = said(LOG=str(tmp_path / "log"), WORLD_SIZE=processes, **{spent.GPUS: "2"})
    assert found.gpu >= gpus * 1.1


def test_a_log_that_says_nothing_has_no_figures(tmp_path: Path) -> None:
    assert spent.read(tmp_path / "missing.log") is None
    (tmp_path / "log").write_text("an error\n", encoding="utf-8")
    assert spent.read(tmp_path / "log") is None
