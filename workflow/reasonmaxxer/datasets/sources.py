"""Where problems come from: datasets of the hub, and the register that names them."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from ..config import HubSource, Section, explain
from ..errors import UserError, check_fetched, hub_error
from .readers import Row

REGISTER = Path(__file__).resolve().parents[3] / "data" / "sources.yaml"
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")


class RegisterEntry(Section):
    """A dataset of data/sources.yaml."""

    title: str
    hub: HubSource
    problem: str = "problem"
    answer: str = "answer"
    id: str | None = None
    level: str | None = None
    choices: str | None = None
    extract: Literal["plain", "boxed", "hashes", "first"] = "plain"
    filter: dict[str, str | bool | int] = Field(default_factory=dict)
    rows: int | list[int] | None = None  # several where copies differ
    sha256: str | None = None
    licence: str

    @property
    def most_rows(self) -> int | None:
        """Number of rows, of the largest copy."""
        return max(self.rows) if isinstance(self.rows, list) else self.rows


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
    """Raise `UserError` if a model's path is neither a folder nor looks like an id of the hub.

    Or if Git LFS has not brought the folder's files.
    """
    if Path(path).is_file():
        raise UserError(
            f"model.path: {path}: a file; name the folder that it lies in (a GGUF file: model.gguf)"
        )
    for file in filter(Path.is_file, Path(path).glob("*")):
        check_fetched(file)
    if not Path(path).is_dir() and not HUB_ID.fullmatch(path):
        raise UserError(
            f"model.path: {path}: neither an existing folder nor a valid Hugging Face id; paths "
            f"are taken from the folder that the run works in, {Path.cwd()}"
        )
