"""The profiles name the rules of the registry."""

from pathlib import Path

import pytest
import yaml

from reasonmaxxer.registry import STAGE_OF_RULE

ROOT = Path(__file__).parents[2]


def profile(name: str) -> dict:
    return yaml.safe_load((ROOT / f"profiles/{name}/config.yaml").read_text())


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_rules_of_a_profile_are_those_of_the_registry(name):
    settings = profile(name)
    named = {entry.split("=")[0] for entry in settings["groups"]}
    assert named | set(settings.get("set-resources", {})) <= set(STAGE_OF_RULE)
