"""A verifier of the user's own: a function in a Python file, `python:path/to/my.py:function`.

It is called in a worker with one completion and its reference, in one of two forms:

    def mine(completion: str, answer: str) -> bool | float | None
    def trl(completions: list[str], answer: list[str], **columns) -> list[float | None]

The second is a reward function as TRL takes it. A value of 0.5 or more is correct, None says that
the completion cannot be read. The file is code that the user trusts; a completion is only text.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[3]
NAME = re.compile(r"python:\s*(?P<path>\S.*?):(?P<function>[A-Za-z_]\w*)")
CORRECT = 0.5  # least value of a correct completion


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
    """File and function. A path that is not found from here is tried from the project's root.

    Raises ValueError where the text is of another form, or there is no such file.
    """
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


def load(verifier: str) -> Callable[[str, str], Any]:
    """The function as one of completion and answer. Raises ValueError where it cannot be had."""
    path, name = place_of(verifier)
    spec = importlib.util.spec_from_file_location("user_verifier", path.resolve())
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise ValueError(f"{path}: has no function {name}")
    parameters = inspect.signature(function).parameters
    if "completions" not in parameters:
        return lambda completion, answer: function(completion, answer)
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())

    def one(completion: str, answer: str) -> Any:
        columns = {"completions": [completion], "answer": [answer], "solution": [answer]}
        given = {k: v for k, v in columns.items() if open_ended or k in parameters}
        return function(**given)[0]

    return one


def verdict(function: Callable[[str, str], Any], answer: str, completion: str) -> tuple[str, str]:
    """Verdict and reason for one completion; an exception of the function makes it unparseable."""
    try:
        value = function(completion, answer)
    except Exception as error:
        return "unparseable", f"the verifier failed: {type(error).__name__}: {error}"[:200]
    if value is None:
        return "unparseable", "the verifier gave None"
    try:
        number = float(value)
    except (TypeError, ValueError):
        return "unparseable", f"the verifier gave no number: {type(value).__name__}"
    return ("correct" if number >= CORRECT else "incorrect"), f"value {number:g}"
