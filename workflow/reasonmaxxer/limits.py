"""Static limits on an answer, checked before anything parses it."""

from __future__ import annotations

import re

MAX_DEPTH = 40
MAX_DIGIT_RUN = 1000
MAX_NESTED_POWERS = 3
MAX_COMMANDS = 400
_LONG_DIGITS = re.compile(rf"\d{{{MAX_DIGIT_RUN + 1}}}")
_CHAINED_POWERS = re.compile(r"(?:\^\s*\{?\s*\d+\s*\}?\s*){2}")
_LARGE_FACTORIAL = re.compile(r"\d{8,}\s*!|!\s*!\s*!|\)\s*!\s*\)\s*!")


def beyond_limits(text: str, max_chars: int) -> str | None:
    """The limit that a text exceeds, or None. Linear in the text."""
    if len(text) > max_chars:
        return "length"
    if _LONG_DIGITS.search(text):
        return "digits"
    if _LARGE_FACTORIAL.search(text):
        return "factorial"
    if _CHAINED_POWERS.search(text):
        return "chained powers"
    if text.count("\\") > MAX_COMMANDS:
        return "commands"
    return _nesting(text)


def _nesting(text: str) -> str | None:
    depth = 0
    powers: list[int] = []  # depths at which an exponent's group was opened
    previous = ""
    for char in text:
        if char in "{[(":
            depth += 1
            if previous == "^":
                powers.append(depth)
        elif char in "}])":
            if powers and powers[-1] == depth:
                powers.pop()
            depth -= 1
        elif char == "^":
            if len(powers) + 1 > MAX_NESTED_POWERS:
                return "nested powers"
        if depth > MAX_DEPTH:
            return "nesting"
        if not char.isspace():
            previous = char
    return None
