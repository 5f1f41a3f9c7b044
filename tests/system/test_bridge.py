"""A run's samples are scored by lm-eval's own metric, and the difference is explained.

lm-eval is no part of the environment: it is installed into a folder for the test.
"""

import json
import subprocess
import sys
from pathlib import Path

from evaluated_run import FLAGS, write_run
from project_copy import ENVIRONMENT, ROOT


def test_lm_evals_metric_scores_the_samples_and_the_difference_has_its_kind(tmp_path: Path) -> None:
    packages, samples = tmp_path / "packages", tmp_path / "samples.jsonl"
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(packages)]
    subprocess.run([*command, "lm-eval[math]"], check=True)
    write_run(tmp_path)
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ROOT / 'workflow'}:{packages}"}

    def bridge(*flags: str) -> str:
        line = [sys.executable, "-m", "reasonmaxxer", "bridge", *FLAGS, "--results", str(tmp_path)]
        options = {"env": environment, "cwd": ROOT, "capture_output": True, "text": True}
        done = subprocess.run([*line, *flags], **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    bridge("--write", str(samples))
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [row["math_verify"] for row in rows] == [1, 0, 1, 0]
    assert [row["exact_match"] for row in rows] == [0, 0, 0, 0]  # it looks for other words
    assert "extraction: 2, of which 2 are right here alone" in bridge("--read", str(samples))
