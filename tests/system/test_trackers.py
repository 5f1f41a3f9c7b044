"""Training reports to real trackers, and a killed run goes on in the record that it began.

The trackers are no part of the environment: they are installed into a folder for these tests.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import reference
from project_copy import ENVIRONMENT, ROOT
from safetensors import safe_open

from reasonmaxxer import tables
from reasonmaxxer.config import ModelConfig, TrainingConfig

STEPS = 200
CONFIG = TrainingConfig(rank=4, warmup_steps=2, sequences=4 * STEPS, batch_size=4, checkpoints=1)
# Slow, so that trackio, which sends from a thread, has something before the kill.
SLOW = """
import time
from reasonmaxxer import __main__
from reasonmaxxer.training import trainer
trainer.SAVE_SECONDS, step = 0.1, trainer.Trainer.step
trainer.Trainer.step = lambda self, *rest: time.sleep(0.03) or step(self, *rest)
"""
# What each tracker has of the project `run`: {record: {name: [(step, value), ...]}}.
TENSORBOARD = """
import json, sys
from pathlib import Path
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = {}
for folder in Path("results/run/tracking").iterdir():
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    names = events.Tags()["scalars"]
    found[folder.name] = {n: [(e.step, e.value) for e in events.Scalars(n)] for n in names}
print(json.dumps(found))
"""
TRACKIO = """
import json, sqlite3, sys
from trackio.utils import TRACKIO_DIR
found = {}
logged = sqlite3.connect(TRACKIO_DIR / "run.db").execute(
    "select run_name, step, metrics from metrics order by step"
)
for record, step, values in logged:
    for name, value in json.loads(values).items():
        found.setdefault(record, {}).setdefault(name, []).append((step, value))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(folder)]
    subprocess.run([*command, "tensorboard", "trackio"], check=True)
    return folder


@pytest.fixture
def run(packages, tmp_path, monkeypatch):
    """A tiny model and a selection, and how Python runs in their folder with the trackers."""
    monkeypatch.chdir(tmp_path)
    reference.save_tiny(tmp_path / "model")
    rng = np.random.default_rng(0)
    rows = [
        {
            **{"problem_id": f"p{i // 4}", "sample": i % 4, "reward": i % 2, "pass_rate": 0.5},
            "prompt_token_ids": rng.integers(0, reference.VOCABULARY, 4).tolist(),
            "token_ids": rng.integers(0, reference.VOCABULARY, 12).tolist(),
            **{"advantage": (a := 2.0 * (i % 2) - 1), "advantages": [a, a]},
            **{"positions": [1, 5], "selected_entropy": 1.0},
        }
        for i in range(12)
    ]
    tables.write("selection.parquet", "selection", rows)
    environment = {
        **ENVIRONMENT,
        "PYTHONPATH": f"{ROOT / 'workflow'}:{packages}",
        "TRACKIO_DIR": str(tmp_path / "trackio"),
    }

    def start(*command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *command], env=environment, stdout=subprocess.PIPE, text=True
        )

    return start


def training(rank: int = 4) -> list[str]:
    model = ModelConfig(path="model", dtype="float32").as_json()
    config = CONFIG.model_copy(update={"rank": rank}).as_json()
    return [
        *("-m", "reasonmaxxer", "training", "--selection", "selection.parquet"),
        *("--model-config", model, "--config", config, "--scratch", "scratch"),
        *("--out-log", "log.parquet", "--checkpoints", "checkpoint-1.safetensors"),
        *("--report-to", "tensorboard", "trackio", "--record", "results/run/tracking/arm"),
    ]


def finish(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return said


def saved_step() -> int:
    """The step that the killed run would go on from."""
    for path in Path("scratch").glob("*/state.safetensors"):
        with safe_open(path, "pt") as file:
            return int(file.metadata()["step"])
    return 0


@pytest.mark.parametrize("reader", [TENSORBOARD, TRACKIO], ids=["tensorboard", "trackio"])
def test_a_killed_run_goes_on_in_its_record(run, reader) -> None:
    killed = run("-c", f"{SLOW}\n__main__.main({training()[2:]})")
    deadline = time.monotonic() + 120
    while saved_step() < STEPS // 2:
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    begun = json.loads(finish(run("-c", reader)))
    finish(run(*training()))
    ((record, values),) = json.loads(finish(run("-c", reader))).items()
    assert [*begun] == [record]
    log = list(tables.rows("log.parquet", "training"))
    assert len(log) == STEPS
    for name in ("loss", "positive_change", "negative_change", "gradient_norm"):
        steps, told = zip(*values[f"train/{name}"], strict=True)
        given = {row["step"]: row[name] for row in log if row[name] is not None}
        assert list(steps) == list(given)
        assert told == pytest.approx(tuple(given.values()), abs=1e-6)


def test_other_settings_have_another_record(run) -> None:
    for rank in (4, 2):
        finish(run(*training(rank)))
    assert len(json.loads(finish(run("-c", TENSORBOARD)))) == 2
