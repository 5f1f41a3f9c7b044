"""A whole run through profiles/slurm on a real Slurm of one node, started and stopped here.

Needs root, and Debian's packages slurm-wlm and munge (install.sh). The node's two GPUs are empty
devices: what is asked of Slurm and what it hands out are real, what runs on them is the CPU. The
copy of the project is therefore spared the question whether PyTorch can use them.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import project_copy
import pyarrow.parquet as pq
import pytest
import yaml
from project_copy import ROOT, copy_of_the_project

STAGES_WITH_GPU = ("generation", "entropies", "training")
GPU_JOBS = "sample_rollouts|sample_evaluation|train_adapter|choose_checkpoint|read_side_by_side"
ENVIRONMENT = {**project_copy.ENVIRONMENT, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    script, folder = ROOT / "tests/system/slurm.sh", tmp_path_factory.mktemp("slurm")
    subprocess.run(["bash", script, "start", folder], check=True)
    yield
    subprocess.run(["bash", script, "stop", folder], check=True)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    with (folder / "snakemake.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=folder,
            env=ENVIRONMENT,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )


def filled_in(folder: Path) -> None:
    """profiles/slurm for this one node: no accounts, its cores, no waiting for a file server."""
    path = folder / "profiles/slurm/config.yaml"
    profile = yaml.safe_load(path.read_text())
    profile["default-resources"].remove("slurm_account=CHANGE_ME")
    profile |= {
        "slurm-no-account": True,
        "slurm-status-command": "squeue",
        "slurm-init-seconds-before-status-checks": 3,
        "slurm-keep-successful-logs": True,
        "cores": len(os.sched_getaffinity(0)),
        "latency-wait": 5,
    }
    path.write_text(yaml.safe_dump(profile))
    # Python runs a module of this name at its start, in the jobs alone: they have the folder on
    # their path.
    (folder / "workflow/sitecustomize.py").write_text(
        "from reasonmaxxer.graph import gpus\ngpus.check_usable = lambda count: None\n"
    )
    gpu = {"resources": {stage: {"gpu": 1} for stage in STAGES_WITH_GPU}}
    (folder / "gpu.yaml").write_text(yaml.safe_dump(gpu))


def jobs() -> dict[str, dict[str, str]]:
    """Every job Slurm remembers, by number."""
    text = subprocess.run(
        ["scontrol", "show", "job", "--oneliner"], check=True, capture_output=True, text=True
    ).stdout
    found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in text.splitlines()]
    return {job["JobId"]: job for job in found if "JobId" in job}


def log_of(folder: Path) -> str:
    return (folder / "snakemake.log").read_text()[-4000:]


def cancel_one(name: str, run: subprocess.Popen[str]) -> str | None:
    """scancel the first job whose comment says `name`, some seconds after its start."""
    while run.poll() is None:
        for number, job in jobs().items():
            if name in job.get("Comment", "") and job["JobState"] == "RUNNING":
                time.sleep(4)
                subprocess.run(["scancel", number], check=True)
                return number
        time.sleep(0.5)
    return None


@pytest.fixture(scope="module")
def runs(slurm: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same run twice: through Slurm with a job cancelled on the way, and locally."""
    through_slurm = copy_of_the_project(tmp_path_factory.mktemp("through-slurm"))
    filled_in(through_slurm)
    config = ("--configfile", "config/test.yaml")
    run = start(through_slurm, "--workflow-profile", "profiles/slurm", *config, "gpu.yaml")
    cancelled = cancel_one("sample_evaluation", run)
    assert run.wait() == 0, log_of(through_slurm)
    assert cancelled is not None
    (through_slurm / "cancelled").write_text(cancelled)
    (through_slurm / "jobs.json").write_text(json.dumps(jobs()))
    local = copy_of_the_project(tmp_path_factory.mktemp("local"))
    run = start(local, "--cores", "2", *config)
    assert run.wait() == 0, log_of(local)
    return {"slurm": through_slurm, "local": local}


def submitted(runs: dict[str, Path]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((runs["slurm"] / "jobs.json").read_text())
    return found


def test_the_cancelled_job_was_tried_again_and_the_run_finished(runs):
    number = (runs["slurm"] / "cancelled").read_text()
    assert submitted(runs)[number]["JobState"] == "CANCELLED"
    assert "Trying to restart job" in (runs["slurm"] / "snakemake.log").read_text()
    states = [job["JobState"] for job in submitted(runs).values()]
    assert states.count("COMPLETED") == len(states) - 1
    assert (runs["slurm"] / "results/report.html").stat().st_size > 0


def test_the_metrics_equal_those_of_a_local_run(runs):
    slurm, local = (
        json.loads((f / "results/test/metrics.json").read_text()) for f in runs.values()
    )
    for found in (slurm, local):
        del found["cost_unit"]  # jobs held GPUs in the one alone
        for cost in found["costs"]:
            del cost["seconds"], cost["reached"]  # measured
    assert slurm == local
    for name in ("metrics.parquet", "rollouts/main/p0-19.s0-3.parquet"):
        tables = [pq.read_table(folder / "results/test" / name) for folder in runs.values()]
        assert tables[0].replace_schema_metadata() == tables[1].replace_schema_metadata()


def test_gpus_memory_and_time_are_asked_of_slurm(runs):
    for job in submitted(runs).values():
        on_gpu = re.search(GPU_JOBS, job["Comment"])
        assert ("gres:gpu:1" in job.get("TresPerJob", "")) == bool(on_gpu), job
        assert job["Partition"] == ("gpu" if on_gpu else "cpu")
        assert job["NumTasks"] == "1"
        assert job["TimeLimit"] not in ("UNLIMITED", "")
        assert int(job["MinMemoryNode"].rstrip("M")) >= 2000


def test_short_stages_share_a_submission(runs):
    """26 jobs for Snakemake; 13 submissions, and the cancelled one's second."""
    comments = [job["Comment"] for job in submitted(runs).values()]
    assert len(comments) == 14, comments
