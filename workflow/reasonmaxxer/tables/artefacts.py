"""Files of a run that are not tables, read so that an error names a damaged or foreign one.

What makes a file again stands in every error: Snakemake trusts a file that is there.
"""

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from .writing import replacing

NOT_IN_KEY = {"*": "reading and checking what is there already"}

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
MODEL_WEIGHTS = "model.safetensors"

# Our safetensors files carry, under this key of their metadata, the SHA-256 of the whole file
# with zeros in the checksum's place.
CHECKSUM = "sha256"
NO_CHECKSUM = "0" * 64
BLOCK = 1 << 22


def remedy(path: str | os.PathLike[str]) -> str:
    """How a file of a run is made again."""
    if "scratch" in Path(path).parts:
        return "it is unfinished work: remove it, and run the same command again"
    file = shlex.quote(str(path))
    return f"make it again, with the run's --configfile: snakemake --cores all --force {file}"


def read_json(path: str | os.PathLike[str], *keys: str) -> dict[str, Any]:
    """A JSON object. Raises `UserError` when it cannot be read or lacks one of `keys`."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable JSON file ({error}); {remedy(path)}") from error
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing or not isinstance(content, dict):
        what = f"'{missing[0]}' is missing" if missing else "an object is expected"
        raise UserError(f"{path}: {what}, so it is the content of another file; {remedy(path)}")
    return content


def open_tensors(path: str | os.PathLike[str], *names: str) -> Any:
    """A safetensors file (a `safe_open` of PyTorch tensors), open for as long as it is used.

    Raises `UserError` when it is damaged, is not what its checksum says, or lacks one of the
    tensors `names`. Files of other programs have no checksum.
    """
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, "pt")
        given = (file.metadata() or {}).get(CHECKSUM)
        if given is not None and given != checksum_of(path):
            raise SafetensorError("not what its checksum says")
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path}: not a readable safetensors file ({error}); {remedy(path)}"
        ) from error
    missing = set(names) - set(file.keys())
    if missing:
        raise UserError(
            f"{path}: tensor '{min(missing)}' is missing, so it is the content of another file; "
            f"{remedy(path)}"
        )
    return file


def save_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Any], metadata: Mapping[str, str]
) -> None:
    """Write PyTorch tensors as a safetensors file with a checksum."""
    from safetensors.torch import save_file

    with replacing(path) as partial:
        partial.touch()
        mode = partial.stat().st_mode
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(whole, partial, metadata={**metadata, CHECKSUM: NO_CHECKSUM})
        partial.chmod(mode)  # safetensors makes a new file, for its owner alone
        sort_metadata(partial)
        add_checksum(partial)


def copy_tensors(source: Path, path: Path) -> None:
    """Copy another program's safetensors file, with a checksum added."""
    with replacing(path) as partial:
        with source.open("rb") as old, partial.open("wb") as new:
            header = json.loads(old.read(int.from_bytes(old.read(8), "little")))
            header["__metadata__"] = {**header.get("__metadata__", {}), CHECKSUM: NO_CHECKSUM}
            new.write(header_bytes(header))
            shutil.copyfileobj(old, new, BLOCK)
        add_checksum(partial)


def header_bytes(header: Mapping[str, Any]) -> bytes:
    """What a safetensors file with this header begins with."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def sort_metadata(path: Path) -> None:
    """Put the metadata in order, which safetensors does not: equal content is to be equal bytes."""
    header = _header(path)
    content = json.loads(header[8:])
    content["__metadata__"] = dict(sorted(content["__metadata__"].items()))
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    with path.open("rb+") as file:
        file.seek(8)
        file.write(text.ljust(len(header) - 8))


def add_checksum(path: Path) -> None:
    """Put the checksum of a safetensors file into the place that its metadata keep for it."""
    checksum = checksum_of(path)
    with path.open("rb+") as file:
        file.seek(_header(path).index(NO_CHECKSUM.encode()))
        file.write(checksum.encode())


def checksum_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a safetensors file as if its checksum were zeros, in hexadecimal digits."""
    header = _header(path)
    given = json.loads(header[8:])["__metadata__"][CHECKSUM]
    found = hashlib.sha256(header.replace(given.encode(), NO_CHECKSUM.encode(), 1))
    with Path(path).open("rb") as file:
        file.seek(len(header))
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def _header(path: str | os.PathLike[str]) -> bytes:
    """The header, its length in front."""
    with Path(path).open("rb") as file:
        length = file.read(8)
        return length + file.read(int.from_bytes(length, "little"))


def is_whole(folder: Path) -> bool:
    """Whether the folder holds a whole model instead of an adapter."""
    return (folder / MODEL_WEIGHTS).is_file()


def check_made_model(path: str) -> None:
    """Raise `UserError` if `path` is a model that a run has made, and its weights are damaged."""
    weights = Path(path) / MODEL_WEIGHTS
    if "results" in weights.parts and weights.is_file():
        check_weights(weights, None)


def check_weights(path: Path, rank: int | None) -> None:
    """Raise `UserError` if these are not weights of a LoRA of this rank (None: of a model)."""
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
