"""What is run on a GPU when there is one must not fail there for a reason that a CPU would show."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(("script", "sections"), [("gpu_check", 9), ("gpu_engine", 5)])
def test_every_section_runs_small_on_a_cpu(script, sections):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{script}.py")],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == sections
    assert not [result for result in results if "failed" in result]
