"""Commas: those that group digits, and those between parts that carry labels."""

import re

_GROUPED = re.compile(r"(?<![\w.,}])[1-9]\d{0,2}(?:,\d{3})+(?![\d]|,\d)(?:\.\d+)?")
_OTHER_GROUPS = re.compile(r"(?<![\w.,'])(?:\d{1,3}(?:'\d{3})+|\d{1,2}(?:,\d{2})+,\d{3})(?![\d',])")
_SPACED = re.compile(
    r"(?<![\w.,])(?<!\d )\d{1,3}(?: \d{3})+(?![\d/]| \d|\s*/)(?=\s*(?:[A-Za-z\\.%]|$))"
)
_LABEL = re.compile(
    r"(?:^|(?<=[\s,;:}]))(?:\\text\s*\{\s*(?:and\s+)?)?(?:[Pp]art\s*)?\(?\s*"
    r"(?P<label>[a-f]|i{1,3}|iv|v|vi|\d)\s*[).]*\)[.:]?\s*\}?\s*|"
    r"(?:^|(?<=[\s,;:}]))(?:\\text\s*\{\s*)?[Pp]art\s*\(?(?P<part>[A-Fa-f]|\d|i{1,3}|iv|v)\)?\s*[.:]\s*\}?\s*"
)
_SERIES = ["abcdef", ["i", "ii", "iii", "iv", "v", "vi"], "123456789"]


def ungrouped(text: str) -> str:
    """1,296 ways as 1296 ways: commas that group digits, where no list is written so.

    Commas in brackets stay. Beside commas with a blank behind them, those without group digits.
    """
    if " " in text:
        text = _SPACED.sub(lambda m: m[0].replace(" ", ""), text)
    if "'" in text or "," in text:
        text = _OTHER_GROUPS.sub(lambda m: re.sub("[',]", "", m[0]), text)
    if "," not in text or not (groups := list(_GROUPED.finditer(text))):
        return text
    outside = _outside(text)
    groups = [m for m in groups if outside[m.start()]]
    inside = {i for m in groups for i in range(m.start(), m.end())}
    others = [i for i, c in enumerate(text) if c == "," and outside[i] and i not in inside]
    if not groups or any(text[i + 1 : i + 2] != " " for i in others):
        return text
    for match in reversed(groups):
        text = text[: match.start()] + match[0].replace(",", "") + text[match.end() :]
    return text


def _outside(text: str) -> list[bool]:
    """Of each character, whether it stands outside all brackets (a text wrapper is none)."""
    outside, depth, wrappers = [], 0, []
    for i, char in enumerate(text):
        if char in "([{":
            wrapper = char == "{" and text[:i].rstrip().endswith(r"\text")
            wrappers.append(wrapper)
            depth += not wrapper
        elif char in ")]}" and wrappers:
            depth -= not wrappers.pop()
        outside.append(depth == 0)
    return outside


def labelled_parts(text: str) -> str:
    """(a) 5, (b) 7 as the tuple (5, 7): labels fix the order."""
    labels = list(_LABEL.finditer(text)) if ")" in text or "art" in text else []
    if len(labels) < 2 or labels[0].start() != 0:
        return text
    names = [(m["label"] or m["part"]).lower() for m in labels]
    if not any(names == list(series[: len(names)]) for series in _SERIES):
        return text
    ends = [m.start() for m in labels[1:]] + [len(text)]
    pieces = [text[m.end() : end] for m, end in zip(labels, ends, strict=True)]
    pieces = [
        re.sub(r"(?:\s|,|;|\.|(?<![A-Za-z])and|\\text\s*\{\s*\})*$", "", p).strip() for p in pieces
    ]
    if not all(pieces) or any("," in p and not re.search(r"[(\[{].*,.*[)\]}]", p) for p in pieces):
        return text
    return "(" + ", ".join(pieces) + ")"
