"""The config of a run: one class a section, every key described where it is declared.

`config/README.md` and `workflow/schemas/config.schema.json` are generated from these classes
(`python -m reasonmaxxer schema`); a test fails when they drift. Nothing heavy is imported here:
the Snakefile reads a config through this module on every call.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ..errors import UserError
from .arms import SHARED
from .footprint import FootprintConfig, PivotalityConfig
from .lab import BASES
from .model import ModelConfig, PromptConfig
from .problems import HubSource, Source
from .report import ReportConfig
from .run import Config
from .sampling import BenchmarkConfig, CheckpointConfig, MemorizationConfig, SamplingConfig
from .section import Section, explain
from .selection import EntropiesConfig, SelectionConfig
from .training import DistillationConfig, GrpoConfig, TrainingConfig
from .verdicts import JudgingConfig, VerdictsConfig

NOT_IN_KEY = {"*": "the values of a section are among the params of the rules that use them"}


def validate(raw: Mapping[str, Any], where: str = "config") -> Config:
    """The checked config. Raises `UserError` with a line for each key that is wrong."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise UserError(explain(error, Config, where)) from error


def load(paths: list[str] | list[Path]) -> Config:
    """Read config files, later ones laid over earlier ones key by key, as Snakemake does."""
    merged: dict[str, Any] = {}
    for path in paths:
        merged = overlay(merged, read_file(path))
    return validate(merged, " + ".join(str(path) for path in paths))


def read_file(path: str | Path) -> dict[str, Any]:
    """A config file's keys. Raises `UserError` for no YAML mapping, or one with a key twice."""
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys) or {}
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such config file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        place = f"{path}: line {error.problem_mark.line + 1}" if error.problem_mark else str(path)
        words = " ".join(filter(None, (error.context, error.problem)))
        raise UserError(f"{place}: not valid YAML: {words}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # or a number of 5,000 digits
        raise UserError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: a config is a mapping of keys, found {type(content).__name__}")
    return content


class _UniqueKeys(yaml.SafeLoader):
    """YAML's own loader takes the last of two equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = set()
        for key, _ in node.value:
            if key.value in found:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key '{key.value}' occurs twice", problem_mark=key.start_mark
                )
            if key.tag != "tag:yaml.org,2002:merge":
                found.add(key.value)
        return super().construct_mapping(node, deep)


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`: mappings key by key, anything else replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = overlay(old, value) if both else value  # type: ignore[arg-type]
    return merged
