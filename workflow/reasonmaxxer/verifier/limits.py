"""Static limits on an answer, checked before anything parses it. Linear in the text."""

import re

MAX_DEPTH = 40
MAX_NESTED_POWERS = 3
MAX_COMMANDS = 400

_LIMITS = {
    "digits": re.compile(r"\d{1001}"),
    # 6^{1000000}, and bounds of sums and products, which stand there too
    "exponent": re.compile(r"(?:\^|\*\*)\s*[{(]?\s*[-+]?\d{7}|\d[eE][+-]?\d{4}"),
    "chained powers": re.compile(r"(?:(?:\^|\*\*)\s*[{(]?\s*\d+\s*[})]?\s*){2}"),
    "factorial": re.compile(r"\d{6,}\s*!|!\s*!\s*!|!\s*\)\s*!"),
    "argument": re.compile(r"\\(?:binom|dbinom|tbinom|Gamma)\s*[{(]?\s*\d{7}"),
    "operator": re.compile(r"\\(?:operatorname\s*\{\s*)?(?:eye|zeros|ones|newcommand|def|input)\b"),
}


def beyond_limits(text: str, max_chars: int) -> str | None:
    """The limit that a text exceeds, or None."""
    if len(text) > max_chars:
        return "length"
    for name, pattern in _LIMITS.items():
        if pattern.search(text):
            return name
    if text.count("\\") > MAX_COMMANDS:
        return "commands"
    return _nesting(text)


def _nesting(text: str) -> str | None:
    depth = 0
    powers: list[int] = []  # depths at which the groups of exponents were opened
    previous = ""
    for char in text:
        if char in "{[(":
            depth += 1
            if depth > MAX_DEPTH:
                return "nesting"
            if previous == "^":
                powers.append(depth)
        elif char in "}])":
            if powers and powers[-1] == depth:
                powers.pop()
            depth -= 1
        elif char == "^" and len(powers) == MAX_NESTED_POWERS:
            return "nested powers"
        if not char.isspace():
            previous = char
    return None
