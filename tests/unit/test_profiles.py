"""The profiles name the rules of the registry, and none that needs a GPU is left out."""

import re
from pathlib import Path

import pytest
import yaml

from reasonmaxxer.registry import ALL, STAGE_OF_RULE

ROOT = Path(__file__).parents[2]
RULE = r"^ *(?:rule (\w+)|use rule (\w+) as (\w+) with):"
ON_GPU = re.compile(r"\*\*asked\(\s*\"(generation|entropies|training)\"")


def profile(name: str) -> dict:
    return yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text())


def gpu_rules() -> set[str]:
    """The rules whose resources have a GPU if the config says so, by the rule files' text."""
    text = "\n".join((ROOT / f"workflow/rules/{stage.name}.smk").read_text() for stage in ALL)
    found, inherited = set(), {}
    pieces = re.split(RULE, text, flags=re.M)[1:]
    for own, base, derived, body in zip(*(pieces[place::4] for place in range(4)), strict=True):
        if own and ON_GPU.search(body):
            found.add(own)
        elif derived:
            inherited[derived] = base
    for rule, base in inherited.items():  # in order: a base comes before what is made from it
        found |= {rule} if base in found else set()
    return found


def test_every_rule_that_uses_a_gpu_is_a_heavy_stages():
    assert {"sample_rollouts", "sample_capability", "train_grpo"} <= gpu_rules()
    assert all(STAGE_OF_RULE[rule].heavy for rule in gpu_rules())


def test_slurms_partition_with_gpus_has_every_rule_that_uses_one():
    given = profile("slurm")["set-resources"]
    assert all(resources == {"slurm_partition": "gpu"} for resources in given.values())
    # Jobs of a group are one submission, so they must agree on its partition.
    groups = dict(entry.split("=") for entry in profile("slurm")["groups"])
    shared = {groups[rule] for rule in gpu_rules() if rule in groups}
    beside = {rule for rule, group in groups.items() if group in shared}
    assert set(given) == gpu_rules() | beside


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_rules_of_a_profile_are_those_of_the_registry(name):
    settings = profile(name)
    named = {entry.split("=")[0] for entry in settings["groups"]}
    assert named | set(settings.get("set-resources", {})) <= set(STAGE_OF_RULE)
