"""Verifiers of other answers than mathematics: a letter, a text, a number."""

import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction

from .choice import letter_of, letters_of, same_choice
from .equivalence import as_read
from .extraction.answers import extract
from .extraction.marks import explicit_marks
from .extraction.sentences import answer_is
from .leaves import same_number, without_units
from .numerals import Number, parse_number
from .sets import value_of

Judged = tuple[bool | None, str]  # None: the answer cannot be read


def choice(gold: str, answer: str) -> Judged:
    """One letter of A to J, or a set of several where the reference has several."""
    reference, given = as_read(gold), as_read(answer)
    if letter := letter_of(reference):
        same = same_choice(letter, given)
        return same, "letter" if same is not None else "no letter of choice"
    wanted, found = letters_of(reference), letters_of(given)
    if not wanted:
        return False, "the reference is no letter"
    if not found and not letter_of(given):
        return None, "no letter of choice"
    return wanted == found, "letters"


def exact(gold: str, answer: str) -> Judged:
    """The same text but for case, blanks, and punctuation and emphasis around it."""
    reference, given = normal_text(gold), normal_text(answer)
    return (reference == given, "text") if given else (None, "no text")


def normal_text(text: str) -> str:
    """A text as `exact` compares it."""
    plain = unicodedata.normalize("NFKC", re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text))
    return " ".join(plain.casefold().split()).strip(" .,;:!?\"'*_`$“”‘’()[]{}")


def numeric(gold: str, answer: str) -> Judged:
    """Numbers by the policy of decimals, units converted; formulas by their value."""
    reference, given, units = without_units(as_read(gold), as_read(answer))
    if units is False:
        return False, "another unit"
    wanted, found = _number(reference), _number(given)
    if wanted is None:
        return False, "the reference is no number"
    return (same_number(wanted, found), "number") if found else (None, "no number")


def _number(text: str) -> Number | None:
    text = text.rpartition("=")[2].strip()
    if number := parse_number(text, decimal_comma=True):
        return number
    value = value_of(text)
    return Number(Fraction(value), decimals=12) if value is not None and abs(value) < 1e15 else None


COMPARISONS: dict[str, Callable[[str, str], Judged]] = {
    "choice": choice,
    "exact": exact,
    "numeric": numeric,
}


def answer_of(text: str, verifier: str, last_number: bool) -> tuple[str | None, str]:
    """The answer in what a completion says to the user, and the rule that found it."""
    if verifier != "exact":
        return extract(text, last_number=last_number or verifier == "numeric")
    if marks := explicit_marks(text):
        return marks[-1].answer or None, marks[-1].rule
    if said := answer_is(text):
        return said, "answer-is"
    return text.strip() or None, "whole"
