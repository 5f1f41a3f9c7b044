"""Notations of other countries, schools and programs, rewritten in the one that is read.

Each rule is a regular expression of bounded width; the content of a formula is unchanged.
"""

import re
from collections.abc import Callable

from .words import SMALL_NUMBERS

_NAMES = {
    "tg": r"\tan ", "ctg": r"\cot ", "cotg": r"\cot ", "arctg": r"\arctan ",
    "arcctg": r"\arccot ", "arccotg": r"\arccot ", "cosec": r"\csc ", "sh": r"\sinh ",
    "ch": r"\cosh ", "th": r"\tanh ", "cth": r"\coth ", "lg": r"\log_{10} ", "lb": r"\log_{2} ",
    "ld": r"\log_{2} ", "arsinh": r"\arcsinh ", "arcosh": r"\arccosh ", "artanh": r"\arctanh ",
    "arsh": r"\arcsinh ", "arch": r"\arccosh ", "arth": r"\arctanh ", "Log": r"\log ",
    "Ln": r"\ln ", "Arcsin": r"\arcsin ", "Arccos": r"\arccos ", "Arctan": r"\arctan ",
    "asin": r"\arcsin ", "acos": r"\arccos ", "atan": r"\arctan ", "cotan": r"\cot ",
}  # fmt: skip
_BARE = ("tg", "ctg", "cotg", "arctg", "arcctg", "lg", "cosec", "asin", "acos", "atan")
_COMMAND = re.compile(rf"\\({'|'.join(_NAMES)})(?![A-Za-z])")
_WORD = re.compile(rf"(?<![A-Za-z\\])({'|'.join(_BARE)})(?![A-Za-z])")

_BASE_NAMES = {word: str(value) for value, word in enumerate(SMALL_NUMBERS[:17])}
_BASE_NAMES |= {"binary": "2", "ternary": "3", "octal": "8", "decimal": "10", "hexadecimal": "16"}
_BASE_NUMBER = rf"(?:\d{{1,2}}|{'|'.join(_BASE_NAMES)})"
_BASE_BELOW = re.compile(
    r"_\s*\{\s*(?:"
    rf"\\text\s*\{{\s*\(?\s*(?:base\s*-?\s*)?(?P<wrapped>{_BASE_NUMBER})\s*\)?\s*\}}"
    rf"|\\text\s*\{{\s*base\s*-?\s*\}}\s*(?P<behind>{_BASE_NUMBER})"
    rf"|\(?\s*(?:base\s*-?\s*)?(?P<plain>{_BASE_NUMBER})\s*\)?)\s*\}}",
    re.IGNORECASE,
)
_BASE_BEHIND = re.compile(
    r"(?<![A-Za-z0-9])([0-9A-F]+)\s*,?\s*\(?\s*(?:\\text\s*\{\s*)?\(?\s*,?\s*(?:(?:in|as)\s+)?"
    rf"(?:base\s*-?\s*\}}?\s*({_BASE_NUMBER})|(binary|ternary|octal|hexadecimal))\s*\)?(?:\s*\}})?",
    re.IGNORECASE,
)
_BRACKETED_BASE = re.compile(r"\(([0-9A-F]+)\)\s*_\s*(?:\{\s*(\d{1,2})\s*\}|(\d))")

_DOTS = re.compile(
    r"(\d*\.\d*)\\dot\s*(?:\{\s*(\d)\s*\}|(\d))(?:(\d{0,12})\\dot\s*(?:\{\s*(\d)\s*\}|(\d)))?"
)
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d*\\(?:overline|bar|dot)(?![a-z]))")  # 0,\bar{3}
_BAR = re.compile(r"(\d*\.\d*)\\(?:bar|overline|dot)\s*(?:\{\s*(\d+)\s*\}|(\d))")
_IN_PARENTHESES = re.compile(r"(?<![\d.])(\d+\.\d*)\((\d{1,12})\)(?![\d(])")
_GOES_ON = re.compile(r"(\d*\.\d{0,4}?)(\d{1,6}?)\2{2,}\d?\s*(?:\.\.\.|\\dots)\s*$")

_ARGUMENT = r"(?:\{\s*([^{}]{1,12})\s*\}|([0-9a-z]))"
_BELOW_ABOVE = re.compile(rf"(?<![A-Za-z\\])([CPA])\s*_\s*{_ARGUMENT}\s*\^\s*{_ARGUMENT}")
_ABOVE_BELOW = re.compile(rf"(?<![A-Za-z\\])([CPA])\s*\^\s*{_ARGUMENT}\s*_\s*{_ARGUMENT}")
_IN_FRONT = re.compile(
    rf"(?:\{{\s*\}}\s*|(?<![\w}})]))[_^]\s*{_ARGUMENT}\s*([CP])\s*_\s*{_ARGUMENT}"
)
_BETWEEN = re.compile(r"(?<![\w.])(\d{1,3})\s?([CP])\s?(\d{1,3})(?![\w.])")
_CHOOSE = re.compile(r"(\d{1,4}|[a-z])\s*(?:\\text\s*\{\s*choose\s*\}|choose)\s*(\d{1,4}|[a-z])")
_CALLED = re.compile(
    r"(?<![A-Za-z\\])(C|P|nCr|nPr|comb|perm|binomial|binom)\s*\(\s*(\w{1,6})\s*[,;]\s*(\w{1,6})\s*\)"
)

_FRENCH = re.compile(
    r"(?:(?<![\w)\]}])|(?<=\\cup)|(?<=\\in))([\]\[(])([^\[\]()]{1,200}?[,;][^\[\]()]{1,200}?)([\[\])])(?![\w(])"
)


_CURRENCIES = {"$": "dollars", "€": "euros", "£": "sterling", "¥": "yen", "₹": "rupees"}
_CURRENCIES |= {"USD": "dollars", "EUR": "euros", "GBP": "sterling", "Rs": "rupees"}
_CURRENCIES |= {
    r"\pounds": "sterling",
    r"\euro": "euros",
    r"\$": "dollars",
    "US$": "dollars",
    r"US\$": "dollars",
}
_MONEY = re.compile(
    r"\s*(?P<sign>-?)\s*(?P<wrapped>\\(?:text|mathrm)\s*\{\s*)?"
    r"(?P<currency>(?:US)?\\?\$|[€£¥₹]|USD|EUR|GBP|Rs\.?|\\pounds|\\euro)\s*(?(wrapped)\})\s*(?P<minus>-?)"
    r"(?P<amount>\d[\d,{}]*(?:\.\d+)?(?:\s*(?:\\text\s*\{\s*)?(?:thousand|million|billion|trillion)(?![a-z])\s*\}?)?)"
    r"(?=\s*(?:$|[.,;]?\s|\\text|\\[ ,;]|~|/))"
)


def currency_behind(text: str) -> str:
    """\\$9,500 per year as 9,500 dollars per year; prices in formulas stay as they are."""
    if not (match := _MONEY.match(text)) or "$" in text[match.end() :]:
        return text
    name = _CURRENCIES[match["currency"].rstrip(".")]
    value = match["sign"] + match["minus"] + match["amount"]
    return f"{value}\\text{{ {name}}}{text[match.end() :]}"


def with_usual_notation(text: str) -> str:
    """A normalised formula with its function names, bases, repeating decimals and counts usual."""
    if "\\" in text:
        text = _COMMAND.sub(lambda m: _NAMES[m[1]], text)
    text = _WORD.sub(lambda m: _NAMES[m[1]], text)
    if "." in text or "," in text:
        text = _repeating(_DECIMAL_COMMA.sub(".", text))
    if "_" in text or "ase" in text or "nar" in text or "ctal" in text or "decimal" in text:
        text = _bases(text)
    if "C" in text or "P" in text or "A" in text or "choose" in text:
        text = _counts(text)
    return _FRENCH.sub(_interval, text) if "[" in text or "]" in text else text


def _bases(text: str) -> str:
    def below(match: re.Match[str]) -> str:
        base = (match["wrapped"] or match["behind"] or match["plain"]).lower()
        return "_{" + _BASE_NAMES.get(base, base) + "}"

    def behind(match: re.Match[str]) -> str:
        base = (match[2] or match[3]).lower()
        return match[1] + "_{" + _BASE_NAMES.get(base, base) + "}"

    text = _BASE_BELOW.sub(below, text)
    text = _BASE_BEHIND.sub(behind, text)
    return _BRACKETED_BASE.sub(lambda m: f"{m[1]}_{{{m[2] or m[3]}}}", text)


def _repeating(text: str) -> str:
    if "\\dot" in text:
        text = _DOTS.sub(
            lambda m: f"{m[1]}\\overline{{{m[2] or m[3]}{m[4] or ''}{m[5] or m[6] or ''}}}", text
        )
    if "\\bar" in text or "\\overline" in text:
        text = _BAR.sub(lambda m: f"{m[1]}\\overline{{{m[2] or m[3]}}}", text)
    text = _IN_PARENTHESES.sub(r"\1\\overline{\2}", text)
    return _GOES_ON.sub(r"\1\\overline{\2}", text) if len(text) < 80 else text


def _count(kind: str, n: str, k: str) -> str | None:
    """n over k (C), or n!/(n-k)! (P and A), where the two can be such numbers."""
    if n.isdigit() and k.isdigit():
        if int(n) < int(k) or int(n) < 2:
            return None
    elif kind != "C" or not re.search(r"[nmNkpr]", n):
        return None
    return f"\\binom{{{n}}}{{{k}}}" if kind == "C" else f"\\frac{{{n}!}}{{({n}-{k})!}}"


def _counts(text: str) -> str:
    def rewriting(order: Callable[[re.Match[str]], tuple[str, str, str]]) -> Callable:
        return lambda match: _count(*order(match)) or match[0]

    text = _BELOW_ABOVE.sub(rewriting(lambda m: (m[1], m[2] or m[3], m[4] or m[5])), text)
    text = _ABOVE_BELOW.sub(rewriting(lambda m: (m[1], m[4] or m[5], m[2] or m[3])), text)
    text = _IN_FRONT.sub(rewriting(lambda m: (m[3], m[1] or m[2], m[4] or m[5])), text)
    text = _BETWEEN.sub(rewriting(lambda m: (m[2], m[1], m[3])), text)
    return _CHOOSE.sub(r"\\binom{\1}{\2}", text)


def with_counts(text: str, points: bool) -> str:
    """C(10,3) as a binomial coefficient, and P(10,3) as a count unless it may be a point."""

    def counted(match: re.Match[str]) -> str:
        ordered = match[1] in ("P", "nPr", "perm")
        if ordered and points:
            return match[0]
        return _count("P" if ordered else "C", match[2], match[3]) or match[0]

    return _CALLED.sub(counted, text)


def _interval(match: re.Match[str]) -> str:
    """]2,5[ as (2,5): an outward bracket leaves its end out."""
    left, content, right = match.groups()
    if left != "]" and right != "[":
        return match[0]
    return ("(" if left == "]" else left) + content + (")" if right == "[" else right)
