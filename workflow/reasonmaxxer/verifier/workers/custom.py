"""A verifier of the user's own: a function in a Python file, `python:path/to/my.py:function`.

It is called in a worker with one completion and its reference, in one of two forms:

    def mine(completion: str, answer: str) -> bool | float | None
    def trl(completions: list[str], answer: list[str], **columns) -> list[float | None]

The second is a reward function as TRL takes it. A value of 0.5 or more is correct, None says that
the completion cannot be read. The file is code that the user trusts; a completion is only text.
"""

import importlib.util
import inspect
from collections.abc import Callable
from typing import Any

from ...method.verifiers import place_of

CORRECT = 0.5  # least value of a correct completion


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
