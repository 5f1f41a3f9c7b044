"""Arms by what the manifest says of them: the main arm, seeds of one line, points of one sweep.

Nothing here goes by an arm's name. Of each arm the manifest holds

- `kind`;
- `changed`: {section.key: value}, the settings in which it differs from its kind's first arm that
  takes the run's sections as they are; seeds aside;
- `line` and `seed`: the arm whose key `seeds` made it, which is itself where none did, and its own
  seed;
- `swept`: {arm, key, value, own} of a point of a sweep: the arm it starts from, the setting that
  it changes, to what, and from what.
"""

from collections.abc import Collection, Mapping
from typing import Any

Arm = Mapping[str, Any]
Arms = Mapping[str, Arm]


def base_of(arms: Arms) -> str:
    return next(name for name, arm in arms.items() if arm["kind"] == "base")


def main_of(arms: Arms) -> str | None:
    """The arm the run is about: the first trained one, from which others' changes are counted."""
    trained = (name for name, arm in arms.items() if arm["kind"] == "trained")
    return next((name for name in trained if not arms[name]["changed"]), None)


def is_rl(arm: Arm) -> bool:
    """Whether an arm stands for RL: our own run, or a public checkpoint that is compared."""
    public = arm["kind"] == "checkpoint" and not arm.get("own_prompt")
    return arm["kind"] == "grpo" or public


def controls(arms: Arms, keys: Collection[str], value: Any = None) -> list[str]:
    """Trained arms that are the main one but for one or more of `keys`, set to `value` (None: any).

    A key is section.key. The keys of a threshold come together, since one replaces the other.
    """
    return [
        name
        for name, arm in arms.items()
        if arm["kind"] == "trained"
        and arm["changed"]
        and arm["changed"].keys() <= {*keys}
        and value in (None, *arm["changed"].values())
    ]


def differing(one: Arm, other: Arm) -> set[str]:
    """The settings in which two arms of one kind differ, as section.key; seeds aside."""
    ours, theirs = one["changed"], other["changed"]
    shared = {key for key in ours if key in theirs and ours[key] == theirs[key]}
    return {*ours, *theirs} - shared


def lines(arms: Arms) -> dict[str, list[str]]:
    """Groups of two or more arms that differ in the seed alone, by the name of the first."""
    groups: dict[str, list[str]] = {}
    for name, arm in arms.items():
        groups.setdefault(arm["line"], []).append(name)
    return {line: members for line, members in groups.items() if len(members) > 1}


def seeds_of(arms: Arms, name: str) -> list[str]:
    """The arms that differ from the named one in the seed alone, itself among them."""
    return [other for other, arm in arms.items() if arm["line"] == arms[name]["line"]]


def compared(arms: Arms) -> dict[str, list[str]]:
    """What figures speak of, and the arms that stand for it: every arm, and lines of several."""
    single = {name: [name] for name in arms}
    return single | {seeds_name(line): members for line, members in lines(arms).items()}


def seeds_name(line: str) -> str:
    """What the figures call a line over seeds, which is not an arm itself."""
    return f"{line}+seed=*"


def sweeps(arms: Arms) -> dict[tuple[str, str], dict[str, Arm]]:
    """(arm, key) -> {name: its place} of the points that a sweep made by changing one setting."""
    found: dict[tuple[str, str], dict[str, Arm]] = {}
    for name, arm in arms.items():
        if arm["swept"]:
            found.setdefault((arm["swept"]["arm"], arm["swept"]["key"]), {})[name] = arm["swept"]
    return found
