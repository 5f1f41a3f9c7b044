"""The verifiers: what may judge an answer, by name, and functions of the user's own."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
NAME = re.compile(r"python:\s*(?P<path>\S.*?):(?P<function>[A-Za-z_]\w*)")


BUILT_IN = ("math", "choice", "exact", "numeric", "math-verify")


def checked(verifier: str) -> str:
    """The name of a verifier. Raises ValueError where there is none of this name."""
    if verifier not in BUILT_IN:
        if not verifier.startswith("python:"):
            known = ", ".join(BUILT_IN)
            raise ValueError(f"no verifier of this name; give {known} or python:FILE:FUNCTION")
        place_of(verifier)
    return verifier


def place_of(verifier: str) -> tuple[Path, str]:
    """File (from here or the project's root) and function; ValueError where there is none."""
    match = NAME.fullmatch(verifier.strip())
    if match is None:
        raise ValueError("a verifier of your own is given as python:path/to/my.py:function")
    places = [Path(match["path"]), PROJECT / match["path"]]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise ValueError(f"{match['path']}: no such file")
    return file, match["function"]


def checksum(verifier: str) -> str:
    """SHA-256 of the file's content: with it an edit of the file judges again."""
    return hashlib.sha256(place_of(verifier)[0].read_bytes()).hexdigest()
