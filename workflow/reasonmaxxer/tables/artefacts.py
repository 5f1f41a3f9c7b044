"""Files of a run that are no tables, read so that a damaged or foreign one is named.

What makes a file again stands in every error: Snakemake trusts a file that is there.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..errors import UserError

NOT_IN_KEY = {"*": "reading and checking what is there already"}

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
MODEL_WEIGHTS = "model.safetensors"


def remedy(path: str | os.PathLike[str]) -> str:
    """How a file of a run is made again."""
    if "scratch" in Path(path).parts:
        return "it is unfinished work: remove it, and run the same line again"
    return f"make it again, with the run's --configfile: snakemake --cores all --force {path}"


def read_json(path: str | os.PathLike[str], *keys: str) -> dict[str, Any]:
    """A JSON object. Raises `UserError` when it cannot be read or lacks one of `keys`."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable JSON file ({error}); {remedy(path)}") from error
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing or not isinstance(content, dict):
        what = f"'{missing[0]}' is missing" if missing else "an object is expected"
        raise UserError(f"{path}: {what}, so it is another file's content; {remedy(path)}")
    return content


def open_tensors(path: str | os.PathLike[str], *names: str) -> Any:
    """A safetensors file (a `safe_open` of PyTorch tensors), open for as long as it is used.

    Raises `UserError` when it is damaged or lacks one of the tensors `names`.
    """
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, "pt")
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path}: not a readable safetensors file ({error}); {remedy(path)}"
        ) from error
    missing = set(names) - set(file.keys())
    if missing:
        raise UserError(
            f"{path}: tensor '{min(missing)}' is missing, so it is another file's content; "
            f"{remedy(path)}"
        )
    return file


def is_whole(folder: Path) -> bool:
    """Whether the folder holds a whole model instead of an adapter."""
    return (folder / MODEL_WEIGHTS).is_file()


def check_weights(path: Path, rank: int | None) -> None:
    """Raise `UserError` if these are no weights of a LoRA of this rank; None: of a whole model."""
    file = open_tensors(path)
    names = set(file.keys())
    lora = [name for name in names if ".lora_A." in name]
    if rank is None and (lora or not names):
        raise UserError(f"{path}: holds no whole model; {remedy(path)}")
    if rank is not None:
        if not lora or 2 * len(lora) != len(names):
            raise UserError(f"{path}: holds no LoRA adapter; {remedy(path)}")
        found = file.get_slice(lora[0]).get_shape()[0]
        if found != rank:
            raise UserError(f"{path}: is of rank {found}, expected {rank}; {remedy(path)}")


def served_rank(rank: int) -> int:
    """The least `max_lora_rank` that vLLM takes for an adapter of this rank."""
    return next(most for most in (8, 16, 32, 64, 128, 256, 320, 512) if most >= rank)


def check_adapter(folder: Path) -> int | None:
    """Rank of the adapter in a folder; None for a whole model.

    Raises `UserError` when one of its files is damaged or another's.
    """
    if is_whole(folder):
        check_weights(folder / MODEL_WEIGHTS, None)
        return None
    rank = int(read_json(folder / ADAPTER_CONFIG, "peft_type", "r")["r"])
    check_weights(folder / ADAPTER_WEIGHTS, rank)
    return rank
