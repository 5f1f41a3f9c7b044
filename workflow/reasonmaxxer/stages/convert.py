"""Stage `convert`: a GGUF file as a model folder that every stage can read.

The weights are dequantised: they are what the file holds, not the checkpoint it was made from.
"""

import argparse
import importlib.util
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

from ..errors import UserError

HELP = "convert a GGUF file, also one inside an installed package, to a model folder"


def convert(gguf: str, out: str | os.PathLike[str], dtype: str = "float32") -> None:
    """Write the model in `gguf` (a path or `package:file`) to the folder `out`, of type `dtype`.

    The same file gives the same bytes. A run that is killed leaves no config.json behind, so the
    folder is not taken for a model.
    """
    source = locate(gguf)
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        _save(source, Path(scratch), dtype)
        target.mkdir(exist_ok=True)
        files = sorted(Path(scratch).iterdir(), key=lambda file: file.name == "config.json")
        for file in files:
            file.chmod(0o644)
            file.replace(target / file.name)


def locate(gguf: str) -> Path:
    """The file that `gguf` names. The package in `package:file` is found, never imported."""
    package, colon, name = gguf.partition(":")
    if not colon or Path(gguf).exists():
        path = Path(gguf)
        if not path.is_file():
            raise UserError(f"gguf: {gguf}: no such file")
        return path
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise UserError(
            f"gguf: {gguf}: no package '{package}' is installed; "
            f"install it with: pip install {package.replace('_', '-')}"
        )
    path = Path(folders[0], name)
    if not path.is_file():
        carried = ", ".join(sorted(p.name for p in Path(folders[0]).glob("*.gguf"))) or "none"
        raise UserError(f"gguf: {gguf}: not in the package; its GGUF files: {carried}")
    return path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gguf", required=True, help="the file's path, or package:file")
    parser.add_argument("--out", required=True, help="folder of the model to write")
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16"], default="float32", help="type of the weights"
    )


def main(args: argparse.Namespace) -> None:
    convert(args.gguf, args.out, args.dtype)
    print(f"wrote {args.out}")


def _save(source: Path, folder: Path, dtype: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place: dict[str, Any] = {"gguf_file": source.name}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source.parent,
            dtype=getattr(torch, dtype),
            quantization_config=GgufConfig(dequantize=True),
            **place,
        )
        tokenizer = AutoTokenizer.from_pretrained(source.parent, **place)
    except (OSError, ValueError, KeyError, IndexError, struct.error) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"gguf: {source}: cannot be read: {reason}") from error
    # transformers refuses to save what it read from a GGUF file while these say "quantised".
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
