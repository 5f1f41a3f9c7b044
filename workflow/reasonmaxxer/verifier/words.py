"""Words beside or in place of a number: "negative six", "two dozen", "at least 12", "none".

`in_figures` rewrites them as formulas; `changes_value` says which words may not be dropped beside
a number.
"""

import re
from fractions import Fraction
from functools import lru_cache

SMALL_NUMBERS = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = {word: value for value, word in enumerate(SMALL_NUMBERS)}
_VALUES |= {word: 10 * value for value, word in enumerate(_TENS, 2)} | {"fourty": 40}
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_SCALES |= {"trillion": 10**12, "dozen": 12}
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6}
_PARTS |= {"seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "twelfth": 12}
_PARTS |= {"hundredth": 100, "thousandth": 1000}

_VALUE_WORD = "|".join(sorted(_VALUES, key=len, reverse=True))
_SCALE_WORD = "|".join(_SCALES)
_PART_WORD = "|".join(sorted(_PARTS, key=len, reverse=True))
_NUMERAL = re.compile(
    rf"(?<![A-Za-z\\])(?:an?[ ]+(?:{_SCALE_WORD})|{_VALUE_WORD})"
    rf"(?:(?:[ -]+|[ ]+and[ ]+)(?:{_VALUE_WORD}|{_SCALE_WORD}))*(?![A-Za-z])",
    re.IGNORECASE,
)
_FRACTION = re.compile(
    rf"(?<![\w.])(?:(\d+|{_VALUE_WORD})[ ]+and[ ]+)?(?:(an?|\d+|{_VALUE_WORD})[ -]+)?"
    rf"({_PART_WORD})(s?)(?:[ ]+of[ ]+an?[ ]+\w+)?(?![A-Za-z])",
    re.IGNORECASE,
)
_VALUE = r"(-?\s*(?:\\frac\s*\{[^{}]*\}\s*\{[^{}]*\}|\d[\d,.]*(?:/\d+)?))"
_TRIGGER = re.compile(
    rf"(?<![A-Za-z\\])(?:{_VALUE_WORD}|(?:{_SCALE_WORD}|{_PART_WORD})s?|minus|negative|plus|times|divided|squared|cubed"
    r"|factorial|power|root|least|most|than|over|under|above|below|exceeding|up|twice|double|triple"
    r"|remainder|R|out|point|year|number|exactly|about|approximately|roughly|around|only|just|total|to|in|pi"
    r"|equals?|is|answer|value)(?![A-Za-z])",
    re.IGNORECASE,
)
COMPARISONS = [
    (r"(?:greater|more|larger)\s+than\s+or\s+equal\s+to", r"\\ge "),
    (r"(?:less|fewer|smaller)\s+than\s+or\s+equal\s+to", r"\\le "),
    (
        r"at\s+least|no\s+(?:less|fewer)\s+than|not\s+(?:less|fewer)\s+than|a\s+minimum\s+of",
        r"\\ge ",
    ),
    (r"at\s+most|no\s+more\s+than|not\s+more\s+than|up\s+to|a\s+maximum\s+of", r"\\le "),
    (r"(?:strictly\s+)?(?:more|greater|larger|bigger|higher)\s+than|over|above|exceeding", ">"),
    (r"(?:strictly\s+)?(?:less|fewer|smaller|lower)\s+than|under|below", "<"),
]
_STEPS = [
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in [
        *(
            (rf"^(?:[A-Za-z ]*\bis\s+)?(?:{words})\s+(?={_VALUE})", sign)
            for words, sign in COMPARISONS
        ),
        (
            r"^(?:(?:the\s+)?(?:value|result|total)(?:\s+(?:is|equals)|(?=\s*:))|"
            r"(?:the\s+)?(?:year|number)|it\s+(?:is|equals)|equals|exactly|about|approximately|roughly|around|only|just"
            rf"|(?:a|the)\s+total\s+of|approx\.?)\s*:?\s*(?={_VALUE}|-|negative|minus)",
            "",
        ),
        (rf"(?<![A-Za-z\d])(?:negative|minus)\s+(?={_VALUE})", "-"),
        (rf"(?<=\d)\s+minus\s+(?={_VALUE})", "-"),
        (rf"(?<=\d)\s+plus\s+(?={_VALUE})", "+"),
        (rf"(?<=\d)\s+(?:times|multiplied\s+by)\s+(?={_VALUE})", "*"),
        (rf"(?<=\d)\s+(?:divided\s+by|over|out\s+of)\s+(?={_VALUE})", "/"),
        (r"^(\d+)\s+in\s+(\d+)$", r"\1/\2"),
        (r"^(\d+)\s+to\s+(\d+)$", r"\1:\2"),
        (rf"{_VALUE}\s+to\s+the\s+power\s+(?:of\s+)?(-?\d+)", r"(\1)^{\2}"),
        (rf"{_VALUE}\s+to\s+the\s+(\d+)(?:st|nd|rd|th)?\s+power", r"(\1)^{\2}"),
        (rf"{_VALUE}\s+squared(?![A-Za-z])", r"(\1)^{2}"),
        (rf"{_VALUE}\s+cubed(?![A-Za-z])", r"(\1)^{3}"),
        (rf"{_VALUE}\s+factorial(?![A-Za-z])", r"\1!"),
        (rf"(?:the\s+)?square\s+root\s+of\s+{_VALUE}", r"\\sqrt{\1}"),
        (rf"(?:the\s+)?cube\s+root\s+of\s+{_VALUE}", r"\\sqrt[3]{\1}"),
        (rf"(?:one\s+)?half\s+of\s+{_VALUE}", r"\\frac{\1}{2}"),
        (rf"(?:twice|double)\s+{_VALUE}", r"2*\1"),
        (rf"(?:triple|thrice)\s+{_VALUE}", r"3*\1"),
        (
            rf"{_VALUE}\s+(?:R|r|rem\.?|remainder|with\s+(?:a\s+)?remainder(?:\s+of)?)\s*(\d+)",
            r"\1 \\text{ R } \2",
        ),
        (r"(\d+)\s+point\s+(\d+)(?:\s+(\d)(?!\d))?(?:\s+(\d)(?!\d))?", r"\1.\2\3\4"),
    ]
]  # fmt: skip
_TWICE = re.compile(r"(?<![\w.])(\d+)\s*\(\1\)")  # 5 (five)
_SCALED = re.compile(
    rf"(-?\d[\d,]*(?:\.\d+)?)\s*-?({'|'.join(_SCALES)})s?(?![A-Za-z])", re.IGNORECASE
)
_CHANGES = re.compile(
    r"(?<![A-Za-z])(?:not|never|than|minus|negative|plus|tens|hundreds?|thousands?|millions?|billions?"
    r"|trillions?|dozens?|squared|cubed|factorial|power|root|remainder|mod|modulo|base|except|or"
    r"|half|halves|(?:of|by)\s+[b-zB-Z]|thirds?|fifths?|tenths?|hundredths?|thousandths?|pi|least|most|twice|double"
    r"|triple|R|times\s+\w+|divided|choose|n['’]t|neither|nor|without|between|cannot|above|below|opposite|reciprocal"
    r"|inverse)(?![A-Za-z])"
)
_SUBJECT = r"(?:(?:the )?(?:limit|value|expression|function|sum|integral|slope|it) )?"
_NO_ANSWER = {
    "nothing": r"(?:there (?:is|are|exists?) )?(?:has )?no (?:such )?"
    r"(?:real |integer |possible |valid )*"
    r"(?:solutions?|roots?|answers?|values?|numbers?|integers?|triangles?|points?)"
    r"(?: (?:exists?|at all|possible|of \w+|for \w+))?|none|no real solutions?|(?:the )?empty set"
    r"|null set|nothing|impossible|not possible"
    r"|(?:the )?(?:equation|system) has no (?:real )?solutions?",
    "does not exist": rf"{_SUBJECT}(?:is )?(?:dne|do(?:es)?(?: not|n't|nt) exist|non-?existent)"
    r"|no limit",
    "undefined": rf"{_SUBJECT}(?:is )?(?:undefined|not defined)",
    "infinitely many": r"(?:there (?:is|are) )?(?:an )?infinite(?:ly)?(?: many| number of)?"
    r"(?: solutions?)?",
}
_NO_ANSWERS = [(name, re.compile(pattern)) for name, pattern in _NO_ANSWER.items()]
EMPTY = r"\emptyset"


def changes_value(words: str) -> bool:
    """Whether words beside a number are part of its value: not, dozen, less than."""
    return _CHANGES.search(words) is not None


@lru_cache(maxsize=4096)
def in_figures(text: str) -> str:
    """A normalised answer with its words for numbers, operations and comparisons as a formula."""
    if len(text) > 200 or not _TRIGGER.search(text):
        return text
    plain = " ".join(re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text).split())
    figures = _FRACTION.sub(_fraction, plain)
    figures = _NUMERAL.sub(lambda m: f"{_numeral(m[0])}", figures)
    if figures != plain:
        figures = _TWICE.sub(r"\1", figures)
    for pattern, replacement in _STEPS:
        figures = pattern.sub(replacement, figures)
    figures = _SCALED.sub(_scaled, figures)
    return text if figures == plain else figures


def _numeral(words: str) -> int:
    """The whole number of a sequence of number words: two hundred and six."""
    total = group = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in _VALUES:
            group += _VALUES[word]
        elif word == "hundred":
            group = max(group, 1) * 100
        elif word in _SCALES:
            total += max(group, 1) * _SCALES[word]
            group = 0
    return total + group


def _fraction(match: re.Match[str]) -> str:
    """Two thirds, one and a half; but "3 quarters" are coins and "the fifth" is in a row."""
    whole, count, part, plural = match.groups()
    part = part.lower()
    if count is None and (part not in ("half", "halve") or plural):
        return match[0]
    if count and count.isdigit() and part == "quarter":
        return match[0]
    top = 1 if count is None or count.lower() in ("a", "an") else _whole(count)
    value = (_whole(whole) if whole else 0) + Fraction(top, _PARTS[part])
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _whole(word: str) -> int:
    return int(word) if word.isdigit() else _VALUES[word.lower()]


def _scaled(match: re.Match[str]) -> str:
    value = Fraction(match[1].replace(",", "")) * _SCALES[match[2].lower()]
    return (
        str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"
    )


def no_answer(words: str) -> str | None:
    """Which way of saying that there is no answer the words are, None for any other."""
    words = " ".join(re.sub(r"[.,!\"]", " ", words.lower()).split())
    return next((name for name, pattern in _NO_ANSWERS if pattern.fullmatch(words)), None)
