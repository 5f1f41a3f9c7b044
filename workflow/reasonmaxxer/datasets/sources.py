"""Where problems come from: local files, datasets of the hub, and the register that names them.

Each reader returns raw rows with the place each one stands at, so that an error can name it.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from ..config import HubSource, Section, explain
from ..errors import UserError, hub_error

REGISTER = Path(__file__).resolve().parents[3] / "data" / "sources.yaml"
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")


@dataclass(frozen=True)
class Row:
    """A raw row and where it stands, such as `problems.jsonl: line 3`."""

    place: str
    values: Mapping[str, Any]


class RegisterEntry(Section):
    """A dataset of data/sources.yaml."""

    title: str
    hub: HubSource
    problem: str = "problem"
    answer: str = "answer"
    id: str | None = None
    level: str | None = None
    extract: Literal["plain", "boxed", "hashes", "first"] = "plain"
    filter: dict[str, str | bool | int] = Field(default_factory=dict)
    rows: int | list[int] | None = None  # several where copies differ
    sha256: str | None = None
    licence: str


def read_register(path: str | Path = REGISTER) -> dict[str, RegisterEntry]:
    """The register of datasets by name."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        return {name: RegisterEntry.model_validate(entry) for name, entry in content.items()}
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file (the register of datasets)") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    except ValidationError as error:
        raise UserError(explain(error, RegisterEntry, str(path))) from error


def entry_of(name: str, path: str | Path = REGISTER) -> RegisterEntry:
    """One entry of the register. Raises `UserError` with the nearest names for an unknown one."""
    entries = read_register(path)
    if name not in entries:
        raise UserError(f"register: {name}: not in {path}; {suggest(name, entries)}")
    return entries[name]


def suggest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """`did you mean ...` or, when nothing is near, what there is."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(f"'{other}'" for other in near) + "?"
    return "there is: " + ", ".join(f"'{other}'" for other in known)


def read_file(path: str | Path) -> list[Row]:
    """The rows of a .jsonl, .csv or .parquet file."""
    readers: dict[str, Callable[[Path], Iterator[Row]]] = {
        ".jsonl": _jsonl,
        ".csv": _csv,
        ".parquet": _parquet,
    }
    file = Path(path)
    if file.suffix not in readers:
        raise UserError(f"{path}: not a .jsonl, .csv or .parquet file")
    if not file.is_file():
        raise UserError(f"{path}: no such file; a source's path is taken from the working folder")
    try:
        return list(readers[file.suffix](file))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: not UTF-8; save the file as UTF-8") from error


def read_hub(hub: HubSource) -> list[Row]:
    """The rows of a hub dataset at its pinned revision.

    The Hugging Face libraries try again while the hub is busy, and take up a download where it
    broke off. HF_ENDPOINT (a mirror), HF_HUB_OFFLINE, HF_HOME and HF_TOKEN work as everywhere.
    """
    import datasets

    datasets.disable_progress_bars()
    files = {hub.split: hub.files} if hub.files else None
    try:
        data = datasets.load_dataset(
            hub.dataset, hub.name, data_files=files, split=hub.split, revision=hub.revision
        )
    except Exception as error:
        where = f"hub: {hub.dataset} at {hub.revision}"
        raise UserError(f"{where}: {hub_error(error)}") from error
    return [Row(f"{hub.dataset}: row {i}", values) for i, values in enumerate(data)]


def check_place(path: str) -> None:
    """Raise `UserError` if a model's path is neither a folder nor looks like an id of the hub."""
    if not Path(path).is_dir() and not HUB_ID.fullmatch(path):
        raise UserError(f"model.path: {path}: no such folder, and no id of the hub either")


def _jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}: line {number}"
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{place}: not valid JSON: {error.msg} (column {error.colno})"
            ) from None
        if not isinstance(values, dict):
            raise UserError(f"{place}: a row is an object of columns, found {line.strip()[:40]}")
        yield Row(place, values)


def _csv(path: Path) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    try:
        for values in reader:
            place = f"{path}: line {reader.line_num}"
            if None in values or None in values.values():
                raise UserError(f"{place}: has not as many fields as the header line")
            yield Row(place, values)
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: not valid CSV: {error}") from error


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file: {error}") from error
    for number, values in enumerate(rows):
        yield Row(f"{path}: row {number}", values)
