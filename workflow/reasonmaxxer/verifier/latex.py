"""One spelling for each formula: LaTeX, Unicode and plain text brought to a common form.

Everything here is string work: linear or bounded, no evaluation. `normalise` gives the form the
other modules read, `canonical` a key under which equal spellings collide.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉"
_UNICODE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "×": r"\times ", "⋅": r"\cdot ", "·": r"\cdot ",
    "∙": r"\cdot ", "÷": r"\div ", "∕": "/", "⁄": "/", "√": r"\sqrt ", "π": r"\pi ",
    "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ",
    "≈": r"\approx ", "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "∅": r"\emptyset ", "°": r"^\circ ", "º": r"^\circ ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}",
    "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "…": r"\dots ", "′": "'",
    "’": "'", "‘": "'", "“": '"', "”": '"', "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}",
    "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}",
    "⅛": r"\frac{1}{8}", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ",
    "⟨": r"\langle ", "⟩": r"\rangle ", "∠": r"\angle ", "α": r"\alpha ", "β": r"\beta ",
    "γ": r"\gamma ", "δ": r"\delta ", "θ": r"\theta ", "λ": r"\lambda ", "μ": r"\mu ",
    "σ": r"\sigma ", "φ": r"\phi ", "ω": r"\omega ", "\u00a0": " ", "\u2009": r"\,",
    "\u202f": r"\,", "\u200b": "", "،": ",", "、": ",", "，": ",", "；": ";", "：": ":",
    "€": r"\$", "£": r"\$", "¥": r"\$", "₹": r"\$",
}  # fmt: skip
_UNICODE |= {c: f"^{i}" for i, c in enumerate(_SUPERSCRIPTS)}
_UNICODE |= {c: f"_{i}" for i, c in enumerate(_SUBSCRIPTS)}
_UNICODE |= {chr(0xFF01 + i): chr(0x21 + i) for i in range(94) if chr(0xFF01 + i) not in _UNICODE}
_TABLE = str.maketrans(_UNICODE)

_SUBSTITUTIONS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"\\?\x0crac", r"\\frac"),
        (r",\s*\\!\s*|\{,\}\s*(?:\\!\s*)?|\\,\s*\\!\s*(?=\d)", ","),
        (r"(?<!\\)\\[()\[\]\"]|\"", " "),
        (r"(?<=\d)(?:\\[,;:> ]|~)(?=\d{3}(?!\d))", ""),
        (r"\\!|\\displaystyle|\\textstyle|\\limits|\\nolimits|\\allowbreak|\\strut", ""),
        (r"(?<!\\)\\[,;:> ]|~|\\q?quad(?![a-zA-Z])|\\hspace\{[^{}]*\}|\\noindent|\s+", " "),
        (r"\\(?:m?left|m?right|[bB]igg?[lrm]?)(?![a-zA-Z])\s*\.?", ""),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
        (r"\\(?:text(?:normal|bf|it|rm|sf|tt|up)|mbox|hbox|emph)\s*(?=\{)", r"\\text"),
        (r"\\(?:math(?:rm|bf|it|sf|cal|frak)|boldsymbol|bm|mathbf)\s*\{([A-Za-z0-9])\}", r"\1"),
        (r"\\(?:mathrm|mathbf|mathit|mathsf)\s*(?=\{)", r"\\text"),
        (r"\{\s*\\(?:rm|bf|it)\s+([^{}]*)\}", r"\\text{\1}"),
        (r"\\(?:rm|bf|it)(?![a-zA-Z])", ""),
        (r"\\operatorname\*?\s*\{([A-Za-z]+)\}", r"\\\1 "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\leq(?:slant)?(?![a-zA-Z])|(?<![<=])=?<=(?!>)|\\leqq(?![a-zA-Z])", r"\\le "),
        (r"\\geq(?:slant)?(?![a-zA-Z])|>=|\\geqq(?![a-zA-Z])", r"\\ge "),
        (r"\\neq(?![a-zA-Z])|!=|\\not\s*=", r"\\ne "),
        (r"\\(?:approxeq|simeq|thickapprox)(?![a-zA-Z])", r"\\approx "),
        (r"\*\*", "^"),
        (r"\\(?:times|cdot|ast|bullet)(?![a-zA-Z])", "*"),
        (r"\\div(?![a-zA-Z])", "/"),
        (r"\\(?:lvert|rvert|vert|mid)(?![a-zA-Z])", "|"),
        (r"\\lbrace(?![a-zA-Z])", r"\\{"),
        (r"\\rbrace(?![a-zA-Z])", r"\\}"),
        (r"\\langle(?![a-zA-Z])|\\lgroup|\\lparen", "("),
        (r"\\rangle(?![a-zA-Z])|\\rgroup|\\rparen", ")"),
        (r"\\lbrack(?![a-zA-Z])", "["),
        (r"\\rbrack(?![a-zA-Z])", "]"),
        (r"\\colon(?![a-zA-Z])", ":"),
        (r"\\(?:varnothing|O|empty)(?![a-zA-Z])|\\\{\s*\\\}", r"\\emptyset "),
        (r"\\(?:l|c|d)?dots(?:[cbmio])?(?![a-zA-Z])", "..."),
        (
            r"\\(?:infin|infty)(?![a-zA-Z])|(?<![A-Za-z\\])(?:infinity|inf|oo)(?![A-Za-z])",
            r"\\infty ",
        ),
        (
            r"\s*\\?%|\s*(?:\\text\s*\{\s*)?(?<![A-Za-z])(?:[Pp]ercent(?:age)?s?|pct)(?![A-Za-z])(?:\s*\})?",
            "%",
        ),
        (
            r"\^\s*(?:\{\s*\\(?:circ|degree)\s*\}|\\(?:circ|degree)(?![a-zA-Z]))|\\degree(?![a-zA-Z])",
            "°",
        ),
        (r"\s*(?:\\text\s*\{\s*)?(?<![A-Za-z])degrees?(?![A-Za-z])(?:\s*\})?", "°"),
        (r"\\text\s*\{\s*,?\s*(and|or)\s*\}", r" \1 "),
        (r"\\text\s*\{\s*\}", ""),
        (r"\\pmod\s*\{?\s*(\w+)\s*\}?|\(\s*\\?b?mod\s*(\w+)\s*\)", r"(mod \1\2)"),
        (r"(?i)(?:\\text\s*\{\s*)?all real(?: number)?s?(?:\s*\})?", r"\\mathbb{R}"),
        (r"\\\$|\$|\\(?:pounds|euro)(?![a-zA-Z])", ""),
        (r"\\frac\s*([0-9a-zA-Z])\s*([0-9a-zA-Z])", r"\\frac{\1}{\2}"),
        (r"\\frac\s*\{([^{}]*)\}\s*([0-9a-zA-Z])", r"\\frac{\1}{\2}"),
        (r"\\frac\s*([0-9a-zA-Z])\s*\{", r"\\frac{\1}{"),
        (r"\\sqrt\s*([0-9a-zA-Z])", r"\\sqrt{\1}"),
        (r"(?<![A-Za-z\\])(sqrt|pi)(?![A-Za-z])", r"\\\1 "),
    ]
]
_WHOLE_TEXT = re.compile(r"\\text\s*\{([^{}]*(?:\d| and |,)[^{}]*)\}")
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z{}(),;!$%])")


@lru_cache(maxsize=8192)
def normalise(text: str) -> str:
    """Return `text` with one spelling per symbol; the mathematical content is unchanged."""
    text = text.strip()
    if text.isalnum() and text.isascii():
        return text
    if not text.isascii():
        text = text.translate(_TABLE)
    if r"\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)
    for pattern, replacement in _SUBSTITUTIONS:
        text = pattern.sub(replacement, text)
    if whole := _WHOLE_TEXT.fullmatch(text.strip()):  # \text{120 dollars}
        text = whole[1]
    return trim(text)


def trim(text: str) -> str:
    """Drop blanks and sentence punctuation around a formula."""
    text = text.strip()
    while text and text[-1] in ".,;:\\ " and not text.endswith("..."):
        text = text[:-1]
    while text and text[0] in ",;: ":
        text = text[1:]
    return text


_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_SINGLE_BRACES = re.compile(r"(?<=[\^_])\{([A-Za-z0-9])\}")


@lru_cache(maxsize=8192)
def canonical(text: str) -> str:
    """Key of a normalised formula: no blanks, no text wrappers, no braces around one token."""
    text = _TEXT.sub(r"\1", text)
    text = "".join(text.split()).rstrip(".")
    text = _SINGLE_BRACES.sub(r"\1", text)
    return re.sub(r"\\(?:begin|end)\{[pb]?matrix\}", r"\\matrix", text)


_OPEN, _CLOSE = "([{", ")]}"


def split_top(text: str, separator: re.Pattern[str]) -> list[str]:
    """Split at matches of `separator` outside all brackets. Unbalanced text is not split."""
    parts: list[str] = []
    depth = start = position = 0
    cuts = {m.start(): m.end() for m in separator.finditer(text)}
    if not cuts:
        return [text]
    while position < len(text):
        if depth == 0 and position in cuts:
            parts.append(text[start:position])
            start = position = cuts[position]
            continue
        char = text[position]
        if char == "\\" and position + 1 < len(text) and text[position + 1] not in "{}":
            position += 2
            continue
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
            if depth < 0:
                return [text]
        position += 1
    if depth:
        return [text]
    parts.append(text[start:])
    return parts


def enclosed(text: str) -> tuple[str, str, str] | None:
    """Opening bracket, content, closing bracket, where one pair encloses the whole text."""
    head = 2 if text.startswith(r"\{") else 1
    if len(text) < 2 or text[head - 1] not in _OPEN or text[-1] not in _CLOSE:
        return None
    tail = len(text) - (2 if text.endswith(r"\}") else 1)
    depth = 0
    for index in range(head - 1, len(text)):
        char = text[index]
        depth += (char in _OPEN) - (char in _CLOSE)
        if depth == 0:
            return (text[:head], text[head:tail], text[tail:]) if index == len(text) - 1 else None
    return None


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
_RECURRING = re.compile(r"(?P<whole>\d+)\.(?P<fixed>\d*)\\overline\s*\{(?P<cycle>\d+)\}")
_COMMA = re.compile(r"(?:0,\d+|\d+,\d{1,2}|\d+,\d{4,}|\d{4,},\d+)")
_POWER = re.compile(r"10\s*\^\s*\{?\s*(?P<power>[+-]?\d{1,3})\s*\}?")
_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen twenty"""
_NUMBER_WORDS = {word: value for value, word in enumerate(_WORDS.split())}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALE = re.compile(rf"({_DECIMAL})\s*(?:\\text\s*\{{\s*)?({'|'.join(_SCALES)})\s*\}}?")


def parse_number(text: str, *, decimal_comma: bool = False) -> Number | None:
    """Read a normalised rational constant: 1,234.5 | 3/4 | 2\\frac{1}{3} | 1.5*10^{3} | 50%.

    None where the text is anything else, or longer than MAX_DIGITS in any of its numbers.
    `decimal_comma` also reads 0,5 and 1000,99 with the comma as the decimal point.
    """
    text = text.strip()
    if not text or len(text) > MAX_DIGITS:
        return None
    if not any(c.isdigit() for c in text):
        word = _NUMBER_WORDS.get(canonical(text).lower())
        return None if word is None else Number(Fraction(word))
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
            Fraction(int(match["whole"] + fixed), scale)
            + Fraction(int(cycle), scale * (10 ** len(cycle) - 1))
        )
    if match := _POWER.fullmatch(text):
        return Number(Fraction(10) ** int(match["power"]))
    if match := _SCALE.fullmatch(text):
        return Number(_decimal(match[1], 0).value * _SCALES[match[2]])
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


_UNITS = {
    canonical_name: name
    for name, spellings in {
        "m": "m meter metre", "cm": "cm centimeter centimetre", "mm": "mm millimeter millimetre",
        "km": "km kilometer kilometre", "in": "in inch inche", "ft": "ft feet foot",
        "yd": "yd yard", "mi": "mi mile", "g": "g gram", "kg": "kg kilogram", "mg": "mg milligram",
        "lb": "lb pound", "oz": "oz ounce", "s": "s sec second", "min": "min minute",
        "h": "h hr hour", "day": "day", "week": "week", "month": "month", "year": "yr year",
        "l": "l liter litre", "ml": "ml milliliter millilitre", "gal": "gal gallon",
        "mph": "mph", "cent": "cent", "dollar": "dollar usd", "euro": "euro eur", "yuan": "yuan",
    }.items()
    for canonical_name in spellings.split()
}  # fmt: skip
_WORD_UNIT = re.compile(
    r"(?P<core>.*[\d)}\]°%])(?P<gap>\s*)"
    r"(?P<unit>(?:(?:square|cubic|sq|cu)\.? )?[A-Za-z]+\.?(?:(?:\s+|/)[A-Za-z]+\.?)*)"
    r"\s*(?:\^\s*\{?[23]\}?)?"
)
_TEXT_UNIT = re.compile(
    r"(?P<core>.*?[\d)}\]°%a-zA-Z])\s*\\text\s*\{(?P<unit>[^{}]*)\}\s*(?:\^\s*\{?-?\d\}?)?"
)


def strip_unit(text: str, *, single_letters: bool) -> tuple[str, str | None]:
    """Split a trailing unit or words from a quantity: "5\\text{ cm}^2" -> ("5", "cm").

    A bare single letter (3s, 6m) may be a variable: it counts as a unit only if `single_letters`.
    The unit comes back under one name for its spellings, "" where it is not a known one.
    """
    if match := _TEXT_UNIT.fullmatch(text):
        return match["core"].strip(), _unit_name(match["unit"])
    if match := _WORD_UNIT.fullmatch(text):
        unit = match["unit"]
        known = _unit_name(unit)
        if len(unit) == 1:
            if not (single_letters and known):
                return text, None
        elif not known and (not match["gap"] or unit.split()[0] in ("and", "or")):
            return text, None
        return match["core"].strip(), known
    return text, None


def _unit_name(unit: str) -> str:
    words = [w.strip(".").lower() for w in unit.split()]
    words = [w for w in words if w not in ("square", "cubic", "sq", "cu")]
    word = words[0] if len(words) == 1 else ""
    return _UNITS.get(word) or _UNITS.get(word.rstrip("s")) or ""
