"""Why jobs would run again, in the config's words; `make plan` prints it.

Snakemake compares the params of a job as a set of their texts, and says which were only there
before and which are only there now. Ours are JSON, so the keys that differ can be named.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Config, ModelConfig, PromptConfig
from ..registry import STAGE_OF_RULE, STAGES

# Rules that belong to no stage come last.
OTHERS = "others"
ORDER = [*STAGES, OTHERS]
MISSING, FORCED = "missing", "forced"
# In the place of params where nothing is known of a file.
NO_RECORD = "nothing says what it was made from"
CODE_HASH = re.compile(r"[0-9a-f]{16}")
PARAMS = re.compile(r"Params have changed .*?before: (.*) now: (.*?) *(?:; Software |$)", re.DOTALL)
FILES = re.compile(r"Updated input files: (.*?)(?:; [A-Z]|$)")
MOST = 4  # keys, files or names that a line gives
LONGEST = 60  # of a value, in characters

# Sections by their keys, to say where a key stands.
SECTIONS = {
    frozenset(kind.model_fields): name
    for name, field in Config.model_fields.items()
    if isinstance(kind := field.annotation, type) and hasattr(kind, "model_fields")
} | {
    frozenset(ModelConfig.model_fields): "model",
    frozenset(PromptConfig.model_fields): "prompt",
    frozenset({"samples"}): "rollouts",  # of the job of a selection
}


@dataclass(frozen=True)
class PlannedJob:
    """A job of a dry run: rule, wildcards, and Snakemake's words for why it runs."""

    rule: str
    wildcards: Mapping[str, str]
    reason: str

    @property
    def stage(self) -> str:
        stage = STAGE_OF_RULE.get(self.rule)
        return stage.name if stage else OTHERS


def report(jobs: Sequence[PlannedJob]) -> list[str]:
    """Lines that say what would run: first each change, then what follows from them."""
    jobs = [job for job in jobs if job.rule not in {"all", *STAGES}]
    if not jobs:
        return ["nothing to do"]
    changed: dict[tuple[str, str], list[PlannedJob]] = {}
    first: dict[str, str] = {}  # cause -> the stage that names it: the first one
    missing, follows = Counter[str](), Counter[str]()
    for job in sorted(jobs, key=lambda job: ORDER.index(job.stage)):
        causes = causes_of(job)
        own = [c for c in causes if c == FORCED or first.setdefault(c, job.stage) == job.stage]
        if causes == [MISSING]:
            missing[job.stage] += 1
        elif not own:
            follows[job.stage] += 1
        else:
            for cause in own:
                changed.setdefault((job.stage, cause), []).append(job)
    lines = [f"{stage}{_of(changed[stage, cause])}: {cause}" for stage, cause in changed]
    lines += [f"missing: {_counts(missing)}"] if missing else []
    lines += [f"and what follows: {_counts(follows)}"] if follows else []
    return [*lines, f"{len(jobs)} job{'s' if len(jobs) > 1 else ''} would run"]


def causes_of(job: PlannedJob) -> list[str]:
    """What has changed for a job itself; empty where it only follows from others."""
    if NO_RECORD in job.reason:
        return [NO_RECORD]
    if "Forced execution" in job.reason:
        return [FORCED]
    if "Missing output files" in job.reason:
        return [MISSING]
    causes = []
    if found := FILES.search(job.reason):
        files = found[1].replace(f"{Path.cwd()}/", "").split(", ")
        causes.append(f"{_few(files)} new or changed")
    if found := PARAMS.search(job.reason):
        causes += differences(_values(found[1]), _values(found[2]), job.stage)
    if "Code has changed" in job.reason:
        causes.append("its rule has changed")
    if "Set of input files has changed" in job.reason and not causes:
        causes.append("it reads other files")
    return causes


def differences(before: Sequence[Any], now: Sequence[Any], stage: str) -> list[str]:
    """How a job's params differ: `section.key old -> new` where both are JSON."""
    old, new = [list(map(_parsed, values)) for values in (before, now)]
    causes, pairs = [], []
    for value in [value for value in new if isinstance(value, dict)]:
        alike = [other for other in old if isinstance(other, dict) and other.keys() & value.keys()]
        if alike:
            other = max(alike, key=lambda other: len(other.keys() & value.keys()))
            pairs.append((other, value))
            old.remove(other)
            new.remove(value)
    for other, value in pairs:
        prefix = SECTIONS.get(frozenset(key.split(".")[0] for key in value), stage) + "."
        keys = [key for key in {**other, **value} if other.get(key) != value.get(key)]
        # The metrics are told the whole config beside what they make of it.
        if whole := [key for key in keys if key.startswith("config.")]:
            prefix, keys = "", whole
        told = [
            f"{prefix}{key.removeprefix('config.')} {_short(other.get(key))} -> "
            f"{_short(value.get(key))}"
            for key in keys
        ]
        causes += told if len(told) <= MOST else [_few(told)]
        causes += [] if told else ["the order of what it is told has changed"]
    if any(isinstance(value, str) and CODE_HASH.fullmatch(value) for value in old + new):
        causes.append(f"the code of {stage} has changed")
    elif old or new:
        was, becomes = [_few(map(_short, values)) or "nothing" for values in (old, new)]
        causes.append(f"{was} -> {becomes}")
    return causes


def _values(text: str) -> list[Any]:
    """The texts of params as Snakemake joins them: literals of Python, separated by commas."""
    if "<nothing exclusive>" in text:
        return []
    try:
        return list(ast.literal_eval(f"[{text}]"))
    except (SyntaxError, ValueError):
        return [text]


def _parsed(value: Any) -> Any:
    """A param that is JSON as its keys, however deep; anything else as it is."""
    try:
        found = json.loads(value)
    except (TypeError, ValueError):
        return value
    return dict(_flat(found)) if isinstance(found, dict | list) else value


def _flat(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Keys with dots; a list of plain values is one value."""
    sections = isinstance(value, list) and any(isinstance(inner, dict) for inner in value)
    if value and (isinstance(value, dict) or sections):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, inner in items for leaf in _flat(inner, f"{path}.{key}".lstrip("."))]
    return [(path, value)]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _few(words: Any) -> str:
    words = list(words)
    more = f" and {len(words) - MOST} more" if len(words) > MOST else ""
    return ", ".join(words[:MOST]) + more


def _of(group: Sequence[PlannedJob]) -> str:
    """Of which arms, or else of how many jobs."""
    arms = {job.wildcards.get("arm") or job.wildcards.get("origin") for job in group}
    named = sorted(arm for arm in arms if arm)
    return f" of {_few(named)}" if named else ""


def _counts(stages: Mapping[str, int]) -> str:
    return ", ".join(
        f"{stage} {stages[stage]}" if stages[stage] > 1 else stage
        for stage in sorted(stages, key=ORDER.index)
    )
