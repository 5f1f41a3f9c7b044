"""Bad input stops a run with one clear error before anything is sampled.

All that `check` finds stands in tests/bad_input_cases.py; here are those that Snakemake finds in
each of its own ways: while it reads the config, before its first job, and in the jobs that cost
nothing.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bad_input_cases import CASES, config_files
from project_copy import ENVIRONMENT

from reasonmaxxer.tables.reuse import FOLDER

AT_ONCE = (
    *("a key twice", "unknown section", "no such template", "a template without its place"),
    *(
        "an unknown dataset",
        "a run's name with a slash",
        "more mixed problems wanted than there are",
    ),
)
BEFORE_A_JOB = ("more memory than there is", "less memory than the weights take")
BEFORE_A_JOB += ("less disk than the states take",)
IN_A_CHEAP_JOB = ("not JSON", "a benchmark's problem in the pool", "no config.json")
IN_A_CHEAP_JOB += ("a prompt that leaves no room", "a teacher of another vocabulary")


def run(checkout, folder, files, *arguments):
    """What Snakemake says, and the files of the run."""
    (folder / "run.yaml").write_text("run: bad\n")
    shutil.rmtree(checkout.folder / "results/bad", ignore_errors=True)
    # Below the mistake, which may be the run's name itself.
    files = [files[0], str(folder / "run.yaml"), *files[1:]]
    said = checkout.snakemake(*arguments, "--configfile", *files, check=False)
    made = (checkout.folder / "results/bad").rglob("*")
    return said, {str(path.relative_to(checkout.folder / "results/bad")) for path in made}


@pytest.mark.parametrize("name", [*AT_ONCE, *BEFORE_A_JOB])
def test_a_mistake_is_named_before_any_job_runs(checkout, tmp_path, name):
    said, made = run(checkout, tmp_path, config_files(name, tmp_path))
    for part in CASES[name][1]:
        assert part in said
    assert "Traceback" not in said
    assert made == set()


@pytest.mark.parametrize("name", IN_A_CHEAP_JOB)
def test_a_mistake_in_the_inputs_is_named_before_anything_is_sampled(checkout, tmp_path, name):
    said, made = run(checkout, tmp_path, config_files(name, tmp_path))
    for part in CASES[name][1]:
        assert part in said
    assert "Traceback" not in said
    cheap = {"problems", "logs", "benchmarks", FOLDER, ".records"}
    assert {path.split("/")[0] for path in made} <= cheap


def test_gpus_that_are_not_there_stop_a_run_but_no_dry_run(checkout, tmp_path):
    files = config_files("GPUs that are not there", tmp_path)
    said, made = run(checkout, tmp_path, files, "--resources", "gpu=64")
    assert "resources.training.gpu: 64 GPUs are asked for, but this machine has" in said
    assert "Traceback" not in said
    assert made == set()
    said, _ = run(checkout, tmp_path, files, "--dry-run", "--resources", "gpu=64")
    assert "sample_rollouts" in said
    assert "are asked for" not in said


def test_more_gpus_than_the_run_may_use_are_an_error(checkout, tmp_path):
    said, made = run(checkout, tmp_path, config_files("GPUs that are not there", tmp_path))
    assert "asks for 64 GPUs, all jobs together may use 1: give --resources gpu=<number>" in said
    assert made == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["results/rport.html"], "results/rport.html"),
        (["-R", "rolouts"], "No rule to produce rolouts"),
    ],
)
def test_a_target_that_does_not_exist_is_named(checkout, arguments, message):
    said = checkout.snakemake(*arguments, "--configfile", "config/test.yaml", check=False)
    assert message in said
    assert "Traceback" not in said


def test_a_hub_that_cannot_be_reached_is_said(checkout, tmp_path):
    (tmp_path / "hub.yaml").write_text(yaml.safe_dump({"model": {"path": "team/model"}}))
    files = ["config/test.yaml", str(tmp_path / "hub.yaml")]
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "reasonmaxxer", "check", "--configfile", *files],
        cwd=checkout.folder,
        env={**os.environ, "PYTHONPATH": "workflow", **nowhere},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "model.path: team/model: no readable model: " in done.stderr
    assert "out of reach" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_job_tells_its_command_once_and_its_error(checkout, tmp_path):
    (tmp_path / "pool.jsonl").write_text('{"problem": "1 + 1?", "answer": "2"}\n')
    source = {"path": str(tmp_path / "pool.jsonl"), "limit": 20}
    files = checkout.config_files({"problems": {"train": [source]}})
    target = "results/test/problems/train-pool.parquet"
    said = checkout.snakemake(target, "--configfile", *files, check=False)
    tries = said.count("Error in rule load_problems")
    assert tries >= 1
    assert said.count("reasonmaxxer problems --sources") == tries
    assert said.count("pool: limit 20, but it has only 1 problems") == tries


def test_braces_in_the_configs_texts_are_no_wildcards(checkout):
    said = {"title": "{title}", "source": {"lab": {}, "limit": 5}, "samples": 2}
    texts = {
        "prompt": {"stop": ["{stop}", "\\boxed{answer}"], "instruction": "Write \\boxed{answer}."},
        "benchmarks": {"far": said | {"prompt": {"template": "chat", "instruction": "{far}"}}},
        "arms": {
            "base": {"kind": "base", "title": "{arm}"},
            "rl": {"kind": "grpo", "title": "{rl}"},
            "kl": {"kind": "distilled", "teacher": "rl", "title": "{kl}"},
        },
        "grpo": {"max_tokens": 64},
        "footprint": {"teacher": "rl", "benchmark": "far"},
        "report": {"title": "{report}"},
    }
    files = checkout.config_files(texts)
    targets = ("results/report.html", "memorization", "footprint")
    for target in targets:
        planned = checkout.snakemake(
            target, "--dry-run", "--printshellcmds", "--configfile", *files, check=False
        )
        assert "WildcardError" not in planned
        assert "This was a dry-run" in planned, planned
        assert "boxed{answer}" in planned or target == "memorization"


@pytest.mark.parametrize(
    ("with_slurm", "message"),
    [(False, "the executor slurm needs sbatch"), (True, "it still has CHANGE_ME in it")],
)
def test_a_cluster_that_is_not_there_is_an_error_at_once(
    checkout, tmp_path, monkeypatch, with_slurm, message
):
    """The folder of programs has no sbatch, or one that is never started."""
    for program in ("bash", "which"):  # Snakemake's own needs
        (tmp_path / program).symlink_to(shutil.which(program))
    if with_slurm:
        (tmp_path / "sbatch").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "sbatch").chmod(0o755)
    # Not the machine's own programs: a machine with Slurm has a real sbatch among them.
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{Path(sys.executable).parent}:{tmp_path}")
    target = "results/test/problems/train-pool.parquet"
    flags = ("--workflow-profile", "profiles/slurm", "--configfile", "config/test.yaml")
    said = checkout.snakemake(target, *flags, check=False)
    assert message in said
    assert "Submitted" not in said
