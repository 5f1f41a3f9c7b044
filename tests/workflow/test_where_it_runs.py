"""What a config asks of the machine reaches the engines and the scheduler."""

import argparse
import importlib
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import Project
from safetensors.numpy import load_file

from reasonmaxxer.__main__ import COMMANDS
from reasonmaxxer.registry import STAGE_OF_RULE

ROOT = Path(__file__).parents[2]
FOUR_GPUS = {
    "resources": {
        "generation": {
            **{"gpu": 4, "tensor_parallel": 2, "pipeline_parallel": 2},
            "share_engine": True,
        },
        "entropies": {"gpu": 1},
        "training": {"gpu": 4, "processes": 4},
    },
    "grpo": {"max_tokens": 64},
    "memorization": {"check": True},
    "footprint": {"teacher": "rl", "benchmark": "short"},
    "arms": {
        "rl": {"kind": "grpo"},
        "kl": {"kind": "distilled", "teacher": "rl", "evaluate": ["short"]},
    },
}


@pytest.fixture(scope="module")
def planned(checkout) -> str:
    """Every job of a run on a cluster's GPUs, four at most, with its command and resources."""
    (checkout.folder / "gpus.yaml").write_text(yaml.safe_dump(FOUR_GPUS))
    files = ("config/test.yaml", "gpus.yaml")
    options = ("--dry-run", "--printshellcmds", "--workflow-profile", "profiles/slurm")
    limits = ("--resources", "gpu=4", "mem_mb=64000")
    return checkout.snakemake("all", "memorization", *options, *limits, "--configfile", *files)


def job(planned: str, rule: str) -> str:
    return next(block for block in planned.split("\n\n") if f"rule {rule}:" in block)


def gpu_rules(planned: str) -> dict[str, list[str]]:
    """The rules whose jobs have a GPU, and all that is said of each such job."""
    found: dict[str, list[str]] = {}
    for rule, text in re.findall(r"rule (\w+):\n(.*?)(?=\n *\n|\Z)", planned, re.S):
        if re.search(r"resources: .*\bgpu=[1-9]", text):
            found.setdefault(rule, []).append(text)
    return found


def test_every_job_with_a_gpu_is_a_heavy_stages_and_takes_it_from_the_pool(planned):
    rules = gpu_rules(planned)
    assert {"sample_rollouts", "sample_capability", "train_grpo"} <= rules.keys()
    for rule, texts in rules.items():
        assert STAGE_OF_RULE[rule].heavy
        for text in texts:
            count = re.search(r"\bgpu=(\d+)", text)[1]
            assert f"python -m reasonmaxxer gpus {count} " in text, rule


def test_slurms_partition_with_gpus_has_every_job_with_a_gpu_and_what_shares_its_group(planned):
    settings = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    rules = gpu_rules(planned)
    for rule, texts in rules.items():
        assert all("slurm_partition=gpu" in text for text in texts), rule
    # Jobs of a group are one submission, so they must agree on its partition.
    groups = dict(entry.split("=") for entry in settings["groups"])
    shared = {groups[rule] for rule in rules if rule in groups}
    beside = {rule for rule, group in groups.items() if group in shared}
    assert settings["set-resources"].keys() == rules.keys() | beside


def test_a_model_is_asked_for_adapters_where_a_gpu_serves_them(planned, checkout):
    assert " --lora " in job(planned, "check_model")
    files = ("--configfile", "config/test.yaml")
    on_a_cpu = checkout.snakemake("--dry-run", "--printshellcmds", *files)
    assert " --lora " not in job(on_a_cpu, "check_model")


def test_the_scheduler_looks_for_work_when_a_job_ends_and_not_all_the_time(project):
    ended = project.printed.count("Finished jobid:")
    looks = project.printed.count("Ready jobs:")
    assert ended > 20
    assert looks <= ended + 1


@pytest.mark.parametrize("rule", ["sample_rollouts", "sample_evaluation", "choose_checkpoint"])
def test_parallel_sizes_are_handed_to_the_engine(planned, rule):
    assert "reasonmaxxer gpus 4 python -m reasonmaxxer" in job(planned, rule)
    assert "--tensor-parallel 2 --pipeline-parallel 2" in job(planned, rule)


def test_the_trainer_is_started_by_torchrun_with_a_process_for_each_gpu(planned):
    command = "gpus 4 torchrun --standalone --nproc-per-node 4 --module reasonmaxxer training"
    assert command in job(planned, "train_adapter")


@pytest.mark.parametrize(
    ("rule", "command"), [("train_grpo", "grpo"), ("distil_teacher", "distillation")]
)
def test_what_trains_in_one_process_takes_one_of_the_gpus(planned, rule, command):
    assert f"gpus 1 python -m reasonmaxxer {command}" in job(planned, rule)
    assert "gpu=1," in job(planned, rule)


def test_a_fraction_of_a_gpus_memory_reaches_the_engine_as_one(planned):
    """Snakemake rounds the numbers of resources: 0.9 would take the whole GPU."""
    assert "--gpu-memory-utilization 0.9 " in job(planned, "sample_rollouts")


def test_every_job_asks_for_memory_and_time(planned):
    blocks = [b for b in planned.split("\n\n") if "\nShell command: python" in b]
    assert len(blocks) > 30
    assert all("runtime=" in block and "mem_mb=" in block for block in blocks)


def test_every_jobs_command_is_one_that_its_stage_takes(planned):
    """As the shell splits it: names, JSON and the words of a model card are quoted."""
    seen = set()
    command = r"^Shell command: python -m reasonmaxxer (?:gpus \d+ .*?reasonmaxxer )?(.*?) > "
    for line in re.findall(command, planned, re.M):
        stage, *words = shlex.split(re.sub(r"\$\(dirname (\S+)\)", r"\1", line))
        parser = argparse.ArgumentParser()
        importlib.import_module(f"reasonmaxxer.{COMMANDS[stage]}").add_arguments(parser)
        parser.parse_args(words)
        seen.add(stage)
    assert {"rollouts", "checkpoint", "distillation", "training", "grpo", "metrics"} <= seen


def test_torchrun_trains_what_one_process_does(project, tmp_path):
    copy = Project(tmp_path / "copy")
    shutil.copytree(project.folder, copy.folder, ignore=shutil.ignore_patterns(".snakemake"))
    (copy.folder / "two.yaml").write_text(
        yaml.safe_dump({"resources": {"training": {"processes": 2, "threads": 2}}})
    )
    log = "results/test/training/reasonmaxxer/log.parquet"
    copy.snakemake(log, "--force", "--configfile", "config/test.yaml", "two.yaml")
    name = "results/test/training/reasonmaxxer/checkpoint-2.safetensors"
    one, two = load_file(project.folder / name), load_file(copy.folder / name)
    assert (copy.folder / name).stat().st_mtime > (project.folder / name).stat().st_mtime
    assert all(abs(one[key] - two[key]).max() < 1e-4 for key in one)


@pytest.mark.parametrize("profile", ["default", "slurm", "local-gpus", "kubernetes"])
def test_every_entry_of_a_profile_is_commented_and_its_rules_exist(checkout, profile):
    path = checkout.folder / f"profiles/{profile}/config.yaml"
    settings = yaml.safe_load(path.read_text())
    # With one engine for several arms, whose rule is there only then.
    files = ("--configfile", "config/qwen2.5-1.5b.yaml")
    rules = set(checkout.snakemake("--list-rules", *files).split())
    named = [*settings.get("set-resources", {})]
    named += [entry.split("=")[0] for entry in settings.get("groups", [])]
    assert set(named) <= rules
    default = yaml.safe_load((checkout.folder / "profiles/default/config.yaml").read_text())
    assert {k: settings.get(k) for k in default if k != "resources"} == {
        k: default[k] for k in default if k != "resources"
    }


def test_kubernetes_is_told_whose_gpus_and_where_the_shared_volume_is(checkout):
    settings = yaml.safe_load((checkout.folder / "profiles/kubernetes/config.yaml").read_text())
    # Every job has the resource `gpu`, and the plugin refuses one without a manufacturer.
    assert "gpu_manufacturer=nvidia" in settings["default-resources"]
    assert settings["default-storage-prefix"] == settings["directory"]
    (volume,) = settings["kubernetes-persistent-volumes"]
    assert settings["directory"].startswith(volume.partition(":")[2])


def test_a_rule_that_asks_for_what_training_has_asks_for_more_when_tried_again(checkout):
    rules = (checkout.folder / "workflow/rules").glob("*.smk")
    text = "\n".join(path.read_text() for path in rules if path.name != "common.smk")
    assert not re.findall(r"(?:mem_mb|runtime)=CONFIG.*", text)
    assert "retries: 2" in (checkout.folder / "workflow/rules/merge.smk").read_text()


def test_a_run_in_another_folder_has_the_projects_default_config(checkout, tmp_path):
    said = checkout.snakemake("--dry-run", "--directory", str(tmp_path))
    assert "results/lab/report.html" in said
