"""Rational constants as they are written: 1,234.5 | 3/4 | 2\\frac{1}{3} | 1.5*10^{3} | 50%."""

import re
from fractions import Fraction
from typing import NamedTuple

from .latex import enclosed


class Number(NamedTuple):
    """A rational constant as it was written."""

    value: Fraction
    percent: bool = False
    decimals: int | None = None  # digits after the point; None for an exact spelling
    digits: int = 0  # significant digits of a decimal


MAX_DIGITS = 400
_DECIMAL = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?: \d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)"
_NUMBER = re.compile(
    rf"(?P<mantissa>{_DECIMAL})\s*(?:[eE]\s*(?P<e>[+-]?\d{{1,3}})"
    r"|(?:\*|x)\s*10\s*\^\s*\{?\s*(?P<power>[+-]?\s*\d{1,3})\s*\}?)?"
)
_FRACTION = re.compile(
    rf"(?P<whole>\d+(?!\d)\s*\+?\s*)?\\frac\s*\{{\s*(?P<p>[+-]?\s*{_DECIMAL})\s*\}}"
    rf"\s*\{{\s*(?P<q>[+-]?\s*{_DECIMAL})\s*\}}"
)
_SLASH = re.compile(
    rf"(?P<whole>\d+(?:\s+|\s*\+\s*))?(?P<p>[+-]?{_DECIMAL})\s*/\s*(?P<q>{_DECIMAL})"
)
_RECURRING = re.compile(r"(?P<whole>\d*)\.(?P<fixed>\d*)\\overline\s*\{(?P<cycle>\d+)\}")
_COMMA = re.compile(r"(?:0,\d+|\d+,\d{1,2}|\d+,\d{4,}|\d{4,},\d+)")
_POWER = re.compile(r"10\s*\^\s*\{?\s*(?P<power>[+-]?\d{1,3})\s*\}?")


def parse_number(text: str, *, decimal_comma: bool = False) -> Number | None:
    """Read a normalised rational constant: 1,234.5 | 3/4 | 2\\frac{1}{3} | 1.5*10^{3} | 50%.

    None where the text is anything else, or longer than MAX_DIGITS in any of its numbers.
    `decimal_comma` also reads 0,5 and 1000,99 with the comma as the decimal point.
    """
    text = text.strip()
    if not text or len(text) > MAX_DIGITS:
        return None
    if not any(c.isdigit() for c in text):
        return None
    inner = enclosed(text)
    if inner and inner[0] in ("(", "{") and inner[2] in (")", "}"):
        return parse_number(inner[1], decimal_comma=decimal_comma)
    percent = text.endswith("%")
    text = text.rstrip("% °")
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-").strip() if text[:1] in "+-" and text[1:2] not in "+-" else text
    try:
        number = _unsigned(text, decimal_comma)
    except ZeroDivisionError:
        return None
    if number is None:
        return None
    return number._replace(value=sign * number.value, percent=percent)


def _unsigned(text: str, decimal_comma: bool) -> Number | None:
    if text.isdigit() and text.isascii():
        return Number(Fraction(int(text)))
    if decimal_comma and _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if match := _NUMBER.fullmatch(text):
        exponent = int((match["e"] or match["power"] or "0").replace(" ", ""))
        return _decimal(match["mantissa"], exponent)
    if match := _FRACTION.fullmatch(text) or _SLASH.fullmatch(text):
        p, q = (_signed_decimal(match[k]) for k in "pq")
        if match["whole"]:
            if p < 0 or q < 0:
                return None
            return Number(int(match["whole"].strip(" +")) + p / q)
        return Number(p / q)
    if match := _RECURRING.fullmatch(text):
        fixed, cycle = match["fixed"], match["cycle"]
        scale = 10 ** len(fixed)
        return Number(
            Fraction(int((match["whole"] or "0") + fixed), scale)
            + Fraction(int(cycle), scale * (10 ** len(cycle) - 1))
        )
    if match := _POWER.fullmatch(text):
        return Number(Fraction(10) ** int(match["power"]))
    return None


def _signed_decimal(text: str) -> Fraction:
    text = text.replace(" ", "")
    return -_decimal(text[1:], 0).value if text[0] == "-" else _decimal(text.lstrip("+"), 0).value


def _decimal(mantissa: str, exponent: int) -> Number:
    mantissa = mantissa.replace(",", "").replace(" ", "")
    whole, _, fraction = mantissa.partition(".")
    value = Fraction(int(whole + fraction), 10 ** len(fraction))
    if exponent:
        value *= Fraction(10) ** exponent
    if not fraction:
        return Number(value)
    digits = len(mantissa.replace(".", "").lstrip("0"))
    return Number(value, decimals=len(fraction) - exponent, digits=digits)
