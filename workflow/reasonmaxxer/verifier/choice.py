"""Answers to questions of choice: one letter, with or without the text of its option.

Several letters for one are no answer, however they are put, and a letter that is denied is none:
training would find at once that "A, B, C, D" is always rewarded.
"""

import re

from .latex import canonical

LETTERS = "ABCDEFGHIJ"
_HEAD = re.compile(
    r"(?:(?:option|choice|answer)\s*:?\s+)?\(?\s*(?P<letter>[A-J])\s*(?P<mark>[.):]+)?(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_OTHER = re.compile(r"(?<![A-Za-z\\\d])([A-J])(?![A-Za-z\d'’])")
_ARTICLE = re.compile(r"(?<![A-Za-z\\])A\s+(?!(?:and|or)\b)(?=[a-z]{2})")
_DENIED = re.compile(
    r"(?<![A-Za-z])(?:not|wrong|incorrect|false|never|neither|nor|except|instead|isn['’]?t|or|nope"
    r"|maybe|perhaps|possibly|unlikely)(?![A-Za-z])|≠|\\ne(?![a-z])",
    re.IGNORECASE,
)
_BESIDE = re.compile(r"\(?(?P<letter>[A-J])\s*(?:\)\s*[.:]?|[.:](?![\d:])|(?<=\()\))\s*(?=\S)")


_DENIAL = re.compile(
    r"(?:[,.;(—–]|\s-)\s*(?:(?:and|but|so|since|because|as)\s+)?(?:(?:it|this|that)\s+)?"
    r"(?:can['’]?t|cannot|can not|could\s?n['’]t|does\s?n['’]t|does not"
    r"|is\s?n['’]t|is not|not|neither|rather than|instead of|unlike)(?![A-Za-z]).*$",
    re.IGNORECASE | re.DOTALL,
)


def without_denials(text: str) -> str:
    """A sentence without a last clause that denies other letters: "D, it can't be A or B"."""
    return _DENIAL.sub("", text, count=1)


def letter_of(gold: str) -> str | None:
    """The letter that a normalised reference is, None for any other reference."""
    letter = canonical(gold).strip("()[].")
    return letter if len(letter) == 1 and letter in LETTERS else None


def letters_of(text: str) -> set[str]:
    """The letters of A, C or of AC; empty for any other text, or one letter alone."""
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text)
    letters = re.sub(r"[\s,;&(){}\[\]\\]|(?<![A-Za-z])and(?![A-Za-z])", "", plain)
    several = re.fullmatch(rf"[{LETTERS}]{{2,}}", letters) and len(set(letters)) == len(letters)
    return set(letters) if several else set()


def same_choice(letter: str, pred: str) -> bool | None:
    """Whether a normalised answer chooses this letter; None where it chooses by no letter."""
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", pred).strip(" {}*[]$")
    plain = without_denials(re.sub(r"^\s*\{|\}\s*$", "", plain))
    if canonical(plain).strip("()[].*").upper() == letter:
        return True
    match = _HEAD.fullmatch(plain)
    if match is None or (match["letter"].islower() and not match["mark"]):
        return None
    chosen, rest = match["letter"].upper(), match["rest"].strip()
    if not match["mark"] and rest[:1] and not rest[:1].isalpha() and rest[:1] not in ",;—–-($\\":
        return None if rest[:1] in "=+*/^_<>|!'" and not _several(chosen, rest) else False
    if not match["mark"] and plain[match.end("letter") :][:1].isalnum():
        return None  # a word or a product: AB, A2
    if _several(chosen, rest) or _DENIED.search(rest):
        return False
    return chosen == letter


def _several(chosen: str, rest: str) -> bool:
    """Whether another letter of choice stands in the text behind the first one."""
    rest = _ARTICLE.sub("", rest)
    for other in _OTHER.finditer(rest):
        around = rest[: other.start()].rstrip()[-1:] + rest[other.end() :].lstrip()[:1]
        in_formula = any(sign in around for sign in "=+*^_<>|") and not set(around) & set("/,;&")
        if other[1] != chosen and not in_formula:
            return True
    return False


def beside_letter(text: str) -> tuple[str, str] | None:
    """Letter and value of an option that is written out: (B) 12, C) 45, B: 12."""
    plain = re.sub(r"^(\(?)\\text\s*\{\s*(\(?[A-J]\s*[).:]*)\s*\}?\s*", r"\1\2 ", text)
    match = _BESIDE.match(plain)
    if match is None:
        return None
    rest = plain[match.end() :].strip()
    if plain != text and rest.endswith("}") and rest.count("{") < rest.count("}"):
        rest = rest[:-1]
    return (match["letter"], rest) if rest else None
