"""Whatever lies under results/ damaged or foreign is named by the stage that reads it."""

import json
import re
import shlex
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from reasonmaxxer.__main__ import main

RUN = "results/test"
SHARD = "main/p0-19.s0-3"
# File -> the job that reads it.
READ_BY = {
    "problems/train.parquet": "sample_rollouts",
    "problems/short.parquet": "audit_problems",
    f"rollouts/{SHARD}.parquet": "judge_rollouts",
    f"verdicts/{SHARD}.parquet": "select_positions",
    f"entropies/{SHARD}.parquet": "select_positions",
    f"entropies/{SHARD}.safetensors": "train_adapter",
    "selection/main.parquet": "train_adapter",
    "selection/main.json": "compute_metrics",
    "training/reasonmaxxer/log.parquet": "compute_metrics",
    "training/reasonmaxxer/checkpoint-1.safetensors": "choose_checkpoint",
    "adapters/reasonmaxxer/adapter_model.safetensors": "read_side_by_side",
    "adapters/reasonmaxxer/adapter_config.json": "read_side_by_side",
    "adapters/reasonmaxxer/validation.parquet": "compute_metrics",
    "adapters/reasonmaxxer/checkpoint.json": "compute_metrics",
    "evaluation/base/short/s0-1.parquet": "compute_metrics",
    "side_by_side.parquet": "compute_metrics",
    "metrics.json": "render_report",
    "figures.json": "render_report",
}


@pytest.fixture(scope="module")
def commands(project):
    """Every job's command, by rule; of an arm's jobs those of `reasonmaxxer`."""
    said = project.snakemake(
        *("--dry-run", "--forceall", "--printshellcmds"), "--configfile", "config/test.yaml"
    )
    found = {}
    for block in said.split("\n\n"):
        rule = re.search(r"^rule (\w+):", block, re.M)
        command = re.search(r"^Shell command: (.*) > \S+ 2>&1$", block, re.M)
        other = re.search(r"wildcards:.*arm=(?!reasonmaxxer\b)", block)
        if rule and command and not other:
            text = command.group(1).replace("python -m reasonmaxxer gpus 0 ", "")
            found.setdefault(rule.group(1), text.removeprefix("python -m reasonmaxxer "))
    return found


@pytest.fixture(scope="module")
def copy(project, tmp_path_factory):
    """The finished run, to be damaged."""
    folder = tmp_path_factory.mktemp("damaged")
    for name in ("config", "data", "workflow"):
        (folder / name).symlink_to(project.folder / name)
    shutil.copytree(project.folder / "results", folder / "results")
    return folder


def _foreign(path):
    """A sound file of the same kind that is not this one."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"problem_id": ["p"], "text": ["?"]}), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps({"name": "another's"}))
    else:
        save_file({"weight": torch.zeros(2)}, path)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 8),
    "foreign": _foreign,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READ_BY)
def test_a_file_that_is_not_sound_is_named_with_what_makes_it_again(
    commands, copy, monkeypatch, capfd, name, damage
):
    monkeypatch.chdir(copy)
    file = copy / RUN / name
    whole = file.read_bytes()
    DAMAGES[damage](file)
    try:
        with pytest.raises(SystemExit) as ended:
            command = re.sub(r"\$\(dirname (\S+)/[^/]+\)", r"\1", commands[READ_BY[name]])
            main(shlex.split(command))
    finally:
        file.write_bytes(whole)
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert ended.value.code == 2
    assert f"{RUN}/{name}" in last
    assert f"--configfile: snakemake --cores all --force {RUN}/{name}" in last


def test_what_the_message_says_makes_it_again(project):
    name = f"{RUN}/verdicts/{SHARD}.parquet"
    file = project.folder / name
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    project.snakemake(name, "--force", "--configfile", "config/test.yaml")
    assert file.read_bytes() == whole
    assert "verdicts" not in " ".join(project.would_run())
