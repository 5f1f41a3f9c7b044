"""Answers with a free whole number: pi/4 + k pi, 7k + 3, congruences; and quantifiers.

A declared parameter may have any name and may be shifted: k and n - 1 run over the same integers.
"""

import re
from typing import NamedTuple

from . import formula
from .fields import DOUBLE, sample_points, values_at
from .latex import split_top

PARAMETER = r"\varkappa "
_NAMES = r"(?<![A-Za-z\\])(?P<names>[a-zA-Z](?:\s*,\s*[a-zA-Z])*)"
_LEAD = r"\s*[,;.]?\s*\(?\s*,?\s*(?:where|for|with|and|here)?\s*"
_WHOLE = r"(?:\\mathbb\{(?P<set>[ZN])\}|(?<=[\s{])(?P<bare>[ZN]))(?:\s*[_^]\s*\{?\s*[+*\d]\s*\}?)?"
_EACH = "all |any |some |every |each "
_DECLARED = [
    re.compile(pattern)
    for pattern in [
        rf"{_LEAD}(?:{_EACH})?(?:\\forall\s*)?{_NAMES}\s*\\in\s*{_WHOLE}\s*\)?$",
        rf"{_LEAD}{_NAMES}\s+(?:is|are|being)?\s*(?:an?\s+|any\s+|arbitrary\s+|some\s+|all\s+)*integers?\s*\)?$",
        rf"{_LEAD}(?:{_EACH}|an |arbitrary )*integers?\s+(?:values? of )?{_NAMES}\s*\)?$",
    ]
]
_QUANTIFIED = re.compile(
    r"\s*[,;]?\s*\(?\s*(?:\\forall(?![a-z])"
    r"|for (?:all|every|any|each|some(?= (?:real )?constant))(?![a-z]))"
    r"\s*(?:(?:positive|negative|real|constants?|numbers?|values? of|integers?|reals?)\s*)*"
    r"(?:[a-zA-Z](?![a-zA-Z])(?:\s*,\s*[a-zA-Z](?![a-zA-Z]))*)?"
    r"\s*(?:\\in\s*(?:\\mathbb\{[A-Z]\}(?:\s*[_^]\s*\{?[+*\d]\}?)?|[RZNQC]|[\[(][^()\[\]]*[)\]])|(?:[<>]|\\[gl]e(?![a-z]))\s*-?\d+)?\s*\)?$"
)
_REAL = re.compile(
    r"\s*(?:,\s*\(?|\()\s*(?:where\s*)?[a-zA-Z](?:\s*,\s*[a-zA-Z])*\s*\\in\s*(?:\\mathbb\{[RC]\}|[RC])\s*\)?$"
)
_CONGRUENCE = re.compile(
    r"(?:(?P<name>[a-zA-Z])\s*(?:\\equiv|=)\s*)?(?P<rest>[^=<>]*?)\s*\(mod (?P<mod>\w+)\)"
)
_REMAINDER = re.compile(r"^([a-zA-Z])\s*(\(mod \w+\))\s*(?:=|\\equiv)\s*(\d+)$")  # n mod 5 = 2
_COMMA = re.compile(r"\s*(?:,|\bor\b|\band\b)\s*")
_CANDIDATE = re.compile(r"(?<![A-Za-z\\])([klmntpqjz])(?![A-Za-z(])")


_REALS_FIRST = re.compile(r"^\s*[a-z]\s*\\in\s*\\mathbb\{R\}\s*[,;:|]\s*(?=[a-z]\s*(?:[<>]|\\))")


_FOR_ALL_FIRST = re.compile(
    r"^\s*(?:\\forall\s*|(?:\\text\s*\{\s*)?[Ff]or (?:all|every|any|each)"
    r"(?: real(?: numbers?)?)?\s*\}?\s*)"
    r"[a-z]\s*(?:\\in\s*\\mathbb\{[A-Z]\})?\s*\}?\s*[,:]\s*(?=\S)"
)


class Family(NamedTuple):
    """A formula, and what its parameter (PARAMETER in it) runs over: Z, N or "" if undeclared."""

    text: str
    runs_over: str


def without_quantifiers(text: str) -> str:
    """f(x) = x, \\forall x \\in R without what says for which x."""
    text = _REALS_FIRST.sub("", text)
    text = _FOR_ALL_FIRST.sub("", text)
    if "forall" not in text and "for " not in text and r"\in" not in text:
        return text
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text)
    for pattern in (_QUANTIFIED, _REAL):
        match = pattern.search(plain)
        if (
            match
            and plain[: match.start()].strip()
            and re.search(r"[=\d+]", plain[: match.start()])
        ):
            return plain[: match.start()].strip()
    return text


def read_family(text: str) -> Family:
    """The text with its declared parameter marked; congruences as such families."""
    if "mod" in text and len(several := split_top(text, _COMMA)) > 1:
        families = [read_family(part.strip()) for part in several if part.strip()]
        if all("mod" in part for part in several if part.strip()):
            return Family(", ".join(family.text for family in families), "Z")
    text = _REMAINDER.sub(r"\1=\3 \2", text)
    if "mod" in text and (match := _CONGRUENCE.fullmatch(text)):
        parts = [part for part in split_top(match["rest"], _COMMA) if part.strip()]
        head = f"{match['name']}=" if match["name"] else ""
        members = [f"{head}{part}+{match['mod']}*{PARAMETER}" for part in parts]
        return Family(", ".join(members), "Z")
    if r"\in" not in text and "integer" not in text:
        return Family(text, "")
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text)
    for pattern in _DECLARED:
        match = pattern.search(plain)
        if match and plain[: match.start()].strip():
            body = plain[: match.start()].strip(" ,;")
            groups = match.groupdict()
            runs = groups.get("set") or groups.get("bare") or "Z"
            names = [name.strip() for name in match["names"].split(",")]
            if len(names) == 2 and names[0] == names[1]:  # "2 pi n, n in Z": the first is a factor
                body, names = plain[: match.start("names") + 1], names[:1]
            return Family(_marked(body, names[0]), runs) if len(names) == 1 else Family(body, "")
    return Family(text, "")


def _marked(text: str, name: str) -> str:
    return re.sub(rf"\\[A-Za-z]+|{name}", lambda m: m[0] if m[0][0] == "\\" else PARAMETER, text)


def both_families(gold: str, pred: str) -> tuple[str, str] | None:
    """Both answers with their parameters marked; None where they are no such families.

    A parameter that one side leaves undeclared is its only letter of the usual ones.
    """
    left, right = read_family(gold), read_family(pred)
    if not left.runs_over and not right.runs_over:
        return _undeclared(gold, pred)
    if left.runs_over and right.runs_over:
        return (left.text, right.text) if left.runs_over == right.runs_over else None
    texts = []
    for family in (left, right):
        text = family.text if family.runs_over else _guessed(family.text)
        if text is None:
            return None
        texts.append(text)
    return texts[0], texts[1]


def _guessed(text: str) -> str | None:
    names = set(_CANDIDATE.findall(text.rpartition("=")[2]))
    return _marked(text, names.pop()) if len(names) == 1 else None


def _undeclared(gold: str, pred: str) -> tuple[str, str] | None:
    """x = pi/4 + k pi and x = pi/4 + n pi: a multiple of pi is a period without any declaration."""
    if not (r"\pi" in gold and r"\pi" in pred and "=" in gold and "=" in pred):
        return None
    texts = _guessed(gold), _guessed(pred)
    return (texts[0], texts[1]) if texts[0] and texts[1] else None


def same_family(gold: str, pred: str) -> bool | None:
    """Whether two formulas with the parameter run through the same values; None if not linear."""
    try:
        trees = formula.parse(gold), formula.parse(pred)
    except formula.FormulaError:
        return None
    name = PARAMETER.strip()
    names = (formula.variables(trees[0]) | formula.variables(trees[1])) - {name}
    for point in sample_points(names, 3 if names else 1):
        lines = []
        for tree in trees:
            at = [
                {k: complex(float(v)) for k, v in point.items()} | {name: complex(n)}
                for n in (0, 1, 2)
            ]
            values = list(values_at(tree, DOUBLE, at))
            if None in values or not _close(values[2] - values[1], values[1] - values[0]):
                return None
            lines.append((values[0], values[1] - values[0]))
        (start, step), (other, step_other) = lines
        if step == 0 or not (_close(step, step_other) or _close(step, -step_other)):
            return False
        shift = (start - other) / step
        if abs(shift.imag) > 1e-9 or abs(shift.real - round(shift.real)) > 1e-9:
            return False
    return True


def _close(a: complex, b: complex) -> bool:
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1e-9)
