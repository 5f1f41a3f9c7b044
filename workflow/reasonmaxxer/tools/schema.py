"""Command `schema`: the pages that are generated from the config's classes and the registry."""

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

from .. import tables
from ..config import Config
from ..errors import UserError
from ..registry import ALL

HELP = "write the config's JSON schema, config/README.md and the README's table of stages"

BEGIN = "<!-- stages: begin (written by `python -m reasonmaxxer schema`) -->\n"
END = "<!-- stages: end -->\n"

HEADER = """\
# Config

One file a run. `snakemake --cores all` runs `config.yaml`; any other is named with `--configfile`.
Several are laid over each other, key by key: `--configfile config/smollm2.yaml my-paths.yaml`, and
single keys with `--config run=try1`, or `--config 'rollouts={samples: 5}'`. A benchmark or an arm
that an overlay sets to `null` is taken out. What is only on one
machine (a path, an account) goes into a file of its own that is not tracked (`config/local*.yaml`
is ignored by git).

`python -m reasonmaxxer check --configfile ...` checks a config without running anything. The key
table below and `workflow/schemas/config.schema.json` (for completion in an editor) are generated
from `workflow/reasonmaxxer/config/` by `python -m reasonmaxxer schema`.

"""


def json_schema() -> str:
    """The JSON schema of a config, as the file holds it."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(),
    }
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def key_table() -> str:
    """config/README.md: every key with its type, default and description."""
    schema = Config.model_json_schema()
    sections = {"": schema, **{name: schema["$defs"][name] for name in sorted(schema["$defs"])}}
    parts = [HEADER]
    for name, section in sections.items():
        parts.append(f"## {name or 'The run'}\n\n")
        if section.get("description") and name:
            words = " ".join(section["description"].split())
            parts.append(textwrap.fill(words, 100, break_on_hyphens=False) + "\n\n")
        parts.append("| key | type | default | meaning |\n|---|---|---|---|\n")
        required = section.get("required", [])
        parts += [
            f"| `{key}` | {_kind(field)} | {_default(key, field, required)} | "
            f"{field.get('description', '').replace('|', '&#124;')} |\n"
            for key, field in section.get("properties", {}).items()
        ]
        parts.append("\n")
    return "".join(parts).rstrip("\n") + "\n"


def with_stages(readme: str) -> str:
    """The README with the registry's table between its two markers; `UserError` without them."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"the lines {BEGIN.strip()} and {END.strip()} are missing; put them back")
    rows = "".join(f"| `{one.name}` | {one.makes} | {one.uses} |\n" for one in ALL)
    table = "| stage | makes, under `results/<run>/` | with |\n|---|---|---|\n" + rows
    return f"{before}{begin}\n{table}\n{end}{after}"


def _kind(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(_kind(option) for option in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_kind(field['items'])}" if "items" in field else "list"
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"mapping to {_kind(values)}" if isinstance(values, dict) else "mapping"
    names = {"integer": "whole number", "string": "text", "boolean": "true or false"}
    return names.get(field.get("type", ""), field.get("type", "anything"))


def _default(key: str, field: dict[str, Any], required: list[str]) -> str:
    if key in required:
        return "required"
    value = field.get("default")
    return (
        "see there"
        if isinstance(value, dict) or "default" not in field
        else f"`{json.dumps(value)}`"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    schema, keys = Path("workflow/schemas/config.schema.json"), Path("config/README.md")
    parser.add_argument("--schema", type=Path, default=schema, help="JSON schema to write")
    parser.add_argument("--keys", type=Path, default=keys, help="page of all keys to write")
    parser.add_argument(
        "--stages",
        type=Path,
        default=Path("README.md"),
        help="page whose table of stages is written again, between its two markers",
    )


def main(args: argparse.Namespace) -> None:
    tables.write_text(args.schema, json_schema())
    tables.write_text(args.keys, key_table())
    try:
        page = with_stages(args.stages.read_text(encoding="utf-8"))
    except (OSError, UserError) as error:
        raise UserError(f"{args.stages}: {error}") from error
    tables.write_text(args.stages, page)
