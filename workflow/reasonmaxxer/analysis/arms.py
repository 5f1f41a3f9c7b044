"""Arms by their names: seeds of one line, points of one sweep.

An arm made from another by changing one key is called `<arm>+<key>=<value>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SEED = "seed"
RL_ARMS = ("grpo", "rl")


def base_of(arms: Mapping[str, Mapping[str, Any]]) -> str:
    return next(name for name, arm in arms.items() if arm["kind"] == "base")


def main_of(arms: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The arm the run is about: `reasonmaxxer` if there is one, else the first trained one."""
    trained = [name for name, arm in arms.items() if arm["kind"] == "trained"]
    return "reasonmaxxer" if "reasonmaxxer" in trained else next(iter(trained), None)


def is_rl(name: str, arm: Mapping[str, Any]) -> bool:
    """Whether an arm stands for RL: our own run, or a checkpoint that is compared."""
    public = arm["kind"] == "checkpoint" and not arm.get("own_prompt")
    return name in RL_ARMS or arm["kind"] == "grpo" or public


def changes(name: str) -> dict[str, str]:
    """The keys that an arm's name says it changed: `a+tau=0.4+seed=2` changed tau and seed."""
    return dict(part.split("=", 1) for part in name.split("+")[1:] if "=" in part)


def without(name: str, key: str) -> str:
    """The name without one of its changes."""
    stem, *parts = name.split("+")
    return "+".join([stem, *(part for part in parts if part.split("=")[0] != key)])


def lines(arms: Iterable[str]) -> dict[str, list[str]]:
    """Groups of two or more arms that differ in the seed alone, by their common name."""
    groups: dict[str, list[str]] = {}
    for name in arms:
        groups.setdefault(without(name, SEED), []).append(name)
    return {stem: members for stem, members in groups.items() if len(members) > 1}


def seeds_of(arms: Iterable[str], name: str) -> list[str]:
    """The arms that differ from the named one in the seed alone, itself among them."""
    return [arm for arm in arms if without(arm, SEED) == without(name, SEED)]


def seeds_name(stem: str) -> str:
    """The name of the line over seeds."""
    return f"{stem}+{SEED}=*"


def sweeps(arms: Iterable[str]) -> dict[tuple[str, str], dict[str, str]]:
    """(stem, key) -> {value: arm} for every key that some arm of the stem changes alone."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name in arms:
        changed = changes(name)
        if len(changed) == 1 and SEED not in changed:
            ((key, value),) = changed.items()
            found.setdefault((without(name, key), key), {})[value] = name
    return found
