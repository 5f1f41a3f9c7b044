"""Units of measurement: read, split off a quantity, and converted where that is exact.

A unit is a factor and powers of base units. Words that are no unit (apples, people) say nothing
and are dropped, unless they change the value (words.py).
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from .words import changes_value


class Unit(NamedTuple):
    """`factor` times the product of base units to their powers, sorted by name."""

    factor: Fraction
    powers: tuple[tuple[str, int], ...]

    def times(self, other: Unit, power: int) -> Unit:
        """This unit times a power of another."""
        powers = dict(self.powers)
        for name, exponent in other.powers:
            powers[name] = powers.get(name, 0) + power * exponent
        kept = tuple(sorted((name, e) for name, e in powers.items() if e))
        return Unit(self.factor * other.factor**power, kept)


ONE = Unit(Fraction(1), ())


def _unit(factor: str, **powers: int) -> Unit:
    return Unit(Fraction(factor), tuple(sorted(powers.items())))


# Symbol, names, factor and base units. Symbols are case-sensitive, names are not.
_PREFIXED = {  # these take the prefixes of the SI
    "m": ("meter metre", _unit("1", m=1)),
    "g": ("gram gramme", _unit("1/1000", kg=1)),
    "s": ("second sec", _unit("1", s=1)),
    "A": ("ampere amp", _unit("1", A=1)),
    "K": ("kelvin", _unit("1", K=1)),
    "mol": ("mole", _unit("1", mol=1)),
    "J": ("joule", _unit("1", kg=1, m=2, s=-2)),
    "N": ("newton", _unit("1", kg=1, m=1, s=-2)),
    "W": ("watt", _unit("1", kg=1, m=2, s=-3)),
    "Pa": ("pascal", _unit("1", kg=1, m=-1, s=-2)),
    "Hz": ("hertz", _unit("1", s=-1)),
    "C": ("coulomb", _unit("1", A=1, s=1)),
    "V": ("volt", _unit("1", kg=1, m=2, s=-3, A=-1)),
    "F": ("farad", _unit("1", kg=-1, m=-2, s=4, A=2)),
    "Ω": ("ohm", _unit("1", kg=1, m=2, s=-3, A=-2)),
    "T": ("tesla", _unit("1", kg=1, s=-2, A=-1)),
    "Wb": ("weber", _unit("1", kg=1, m=2, s=-2, A=-1)),
    "H": ("henry", _unit("1", kg=1, m=2, s=-2, A=-2)),
    "L": ("liter litre", _unit("1/1000", m=3)),
    "l": ("", _unit("1/1000", m=3)),
    "eV": ("electronvolt", _unit("1", eV=1)),
    "cal": ("calorie", _unit("4.184", kg=1, m=2, s=-2)),
    "bar": ("", _unit("100000", kg=1, m=-1, s=-2)),
    "pc": ("parsec", _unit("1", pc=1)),
    "B": ("byte", _unit("8", bit=1)),
    "bit": ("", _unit("1", bit=1)),
    "rad": ("radian", _unit("1", rad=1)),
    "Bq": ("becquerel", _unit("1", s=-1)),
    "lm": ("lumen", _unit("1", lm=1)),
    "Wh": ("", _unit("3600", kg=1, m=2, s=-2)),
}
_PREFIXES = {
    "k": ("kilo", 3), "M": ("mega", 6), "G": ("giga", 9), "T": ("tera", 12), "c": ("centi", -2),
    "d": ("deci", -1), "m": ("milli", -3), "μ": ("micro", -6), "n": ("nano", -9),
    "p": ("pico", -12), "f": ("femto", -15), "h": ("hecto", 2),
}  # fmt: skip
_COMMON = {"d": ("m", "l", "L", "g"), "c": ("m", "l", "L", "g"), "h": ("m", "l", "L", "g", "Pa")}
_OTHERS = {
    "in": ("inch inche", _unit("0.0254", m=1)),
    "ft": ("foot feet", _unit("0.3048", m=1)),
    "yd": ("yard", _unit("0.9144", m=1)),
    "mi": ("mile", _unit("1609.344", m=1)),
    "Å": ("angstrom", _unit("1/10000000000", m=1)),
    "au": ("", _unit("149597870700", m=1)),
    "AU": ("", _unit("149597870700", m=1)),
    "ly": ("", _unit("1", ly=1)),
    "min": ("minute", _unit("60", s=1)),
    "h": ("hour hr", _unit("3600", s=1)),
    "day": ("day", _unit("86400", s=1)),
    "week": ("week wk", _unit("604800", s=1)),
    "month": ("month", _unit("1", month=1)),
    "yr": ("year", _unit("12", month=1)),
    "decade": ("decade", _unit("120", month=1)),
    "century": ("century centurie", _unit("1200", month=1)),
    "lb": ("pound", _unit("0.45359237", kg=1)),
    "oz": ("ounce", _unit("0.028349523125", kg=1)),
    "ton": ("ton", _unit("1", ton=1)),
    "t": ("tonne", _unit("1000", kg=1)),
    "gal": ("gallon", _unit("1", gal=1)),
    "qt": ("quart", _unit("1/4", gal=1)),
    "pt": ("pint", _unit("1/8", gal=1)),
    "ha": ("hectare", _unit("10000", m=2)),
    "acre": ("acre", _unit("4046.8564224", m=2)),
    "mph": ("", _unit("0.44704", m=1, s=-1)),
    "kph": ("", _unit("5/18", m=1, s=-1)),
    "kmh": ("", _unit("5/18", m=1, s=-1)),
    "rpm": ("", _unit("1/60", turn=1, s=-1)),
    "atm": ("atmosphere", _unit("101325", kg=1, m=-1, s=-2)),
    "dB": ("decibel", _unit("1", dB=1)),
    "psi": ("", _unit("1", psi=1)),
    "erg": ("", _unit("1/10000000", kg=1, m=2, s=-2)),
    "dyn": ("dyne", _unit("1/100000", kg=1, m=1, s=-2)),
    "$": ("dollar usd buck", _unit("1", dollar=1)),
    "¢": ("cent", _unit("1/100", dollar=1)),
    "euro": ("euro eur", _unit("1", euro=1)),
    "yuan": ("yuan rmb cny", _unit("1", yuan=1)),
    "yen": ("yen", _unit("1", yen=1)),
    "rupee": ("rupee", _unit("1", rupee=1)),
    "sterling": ("sterling gbp quid", _unit("1", sterling=1)),
    "pence": ("pence penny", _unit("1/100", sterling=1)),
    "°": ("°", _unit("1", degree=1)),
    "°C": ("celsius", _unit("1", celsius=1)),
    "°F": ("fahrenheit", _unit("1", fahrenheit=1)),
}
_SYMBOLS: dict[str, Unit] = {}
_NAMES: dict[str, Unit] = {}


def _fill() -> None:
    for symbol, (names, unit) in (_PREFIXED | _OTHERS).items():
        _SYMBOLS.setdefault(symbol, unit)
        for name in names.split():
            _NAMES[name] = unit
    for symbol, (names, unit) in _PREFIXED.items():
        for prefix, (long, power) in _PREFIXES.items():
            if symbol not in _COMMON.get(prefix, symbol):
                continue
            scaled = Unit(unit.factor * Fraction(10) ** power, unit.powers)
            _SYMBOLS.setdefault(prefix + symbol, scaled)
            for name in names.split():
                _NAMES[long + name] = scaled
    for name in ("mole", "candela"):
        _NAMES.setdefault(name, ONE)


_fill()
_MONEY = {"dollar", "euro", "yuan", "yen", "rupee", "sterling"}
_POWER_WORDS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "squared": 2, "cubed": 3}
_TOKEN = re.compile(
    r"\s*(?:(?P<power>\^\s*\{?\s*(?P<exponent>[+-]?\s*\d)\s*\}?)"
    r"|(?P<word>°\s*[CF]?(?![A-Za-z])|[A-Za-zμΩÅ¢$]+\.?)|(?P<sign>[*/()-]))"
)


def _known(word: str) -> Unit | None:
    """The unit that a symbol or a name stands for."""
    word = word.replace(" ", "")
    if unit := _SYMBOLS.get(word) or _SYMBOLS.get(word.rstrip(".")):
        return unit
    lower = word.rstrip(".").lower()
    unit = _NAMES.get(lower) or _NAMES.get(lower.removesuffix("s"))
    if unit is None and len(lower) > 1:
        unit = _SYMBOLS.get(lower) or _SYMBOLS.get(lower.removesuffix("s"))
    return unit


@lru_cache(maxsize=4096)
def read_unit(text: str) -> tuple[Unit | None, bool]:
    """The unit that a text begins with, None where it is none; and whether that is all of it."""
    text = _plain(text)
    total, sign, pending, position, last = ONE, 1, 1, 0, 0
    previous: Unit | None = None
    previous_sign = 1
    depth_sign: list[int] = []
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            break
        if match["power"]:
            if previous is None:
                break
            extra = int(match["exponent"].replace(" ", "")) - 1
            total = total.times(previous, previous_sign * extra)
            previous, last = None, match.end()
        elif match["sign"]:
            token = match["sign"]
            if token == "/":
                sign = -1
            elif token == "(":
                depth_sign.append(sign)
            elif token == ")":
                if not depth_sign:
                    break
                depth_sign.pop()
                sign, last = 1, match.end()
        else:
            word = match["word"]
            lower = word.strip(".").lower()
            if lower == "per" and last:
                sign = -1
            elif lower in _POWER_WORDS:
                power = _POWER_WORDS[lower]
                if lower in ("squared", "cubed"):
                    if previous is None:
                        break
                    total = total.times(previous, previous_sign * (power - 1))
                    previous, last = None, match.end()
                else:
                    pending = power
            else:
                unit = _known(word)
                if unit is None or (lower == "in" and last):
                    break
                total = total.times(unit, sign * pending)
                previous_sign = sign
                previous = Unit(
                    unit.factor**pending, tuple((n, e * pending) for n, e in unit.powers)
                )
                pending, last = 1, match.end()
                sign = depth_sign[-1] if depth_sign else 1
        position = match.end()
    if not last:
        return None, False
    rest = text[last:].strip(" .)")
    if re.match(r"\s*in\s+[a-z]", text):  # "in total", not inches
        return None, False
    return total, not rest


def _plain(text: str) -> str:
    """Unit text without commands: \\frac{\\text{m}}{\\text{s}} is (m)/(s)."""
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r" (\1)/(\2) ", text)
    text = re.sub(r"\\Omega(?![A-Za-z])\s*", "Ω", text)
    text = re.sub(r"\\(?:mu|micro)(?![A-Za-z])\s*", "μ", text).replace(r"\AA", "Å")
    text = re.sub(r"\\(?:ell)(?![A-Za-z])", "L", text)
    text = re.sub(r"°\s*(?:[Cc]elsius|[Cc]entigrade)", "°C", text)
    text = re.sub(r"°\s*[Ff]ahrenheit", "°F", text)
    text = re.sub(r"(?<=[a-zμΩ])\s+(?=Ω)", "", text)
    text = re.sub(r"(?<![A-Za-z])(k|M|m|μ)\s+(?=Ω)|(μ)\s+(?=[A-Za-z])", r"\1\2", text)
    return text.replace("{", "").replace("}", "").strip() if "^" not in text else text.strip()


# --- splitting a unit off -----------------------------------------------------------------------

_TEXT_START = re.compile(
    r"\\text\s*\{|(?<=[\d)}\]%°])\s*(?:\\frac\s*\{\s*\\text|\\Omega|\\mu(?![a-z])|\\AA|°)"
)
_WORD_START = re.compile(r"(?<=[\d)}\]%.])(?P<gap>\s*)(?=[A-Za-z$¢])")
_WORDS_ONLY = re.compile(r"[A-Za-z][A-Za-z'’-]*[.,]?(?:[\s/]+[A-Za-z'’-]+[.,]?)*")
_LETTERS_OVER_LETTERS = re.compile(
    r"(?P<core>[-+]?[\d.,]+)\s*(?P<unit>\\frac\s*\{\s*[A-Za-z]+\s*\}\s*\{\s*[A-Za-z]+(?:\s*\^\s*\d)?\s*\})"
)
_TRIGONOMETRIC = re.compile(
    r"\\(?:a?rc)?(?:sin|cos|tan|sec|csc|cot|cis)(?![a-z])|(?:sin|cos|tan|cis)"
)
_HAS_VARIABLE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]|\\i*nt(?![a-z])")
_ENDS_A_VALUE = re.compile(r"[\d)}\]°%!A-Za-z.]$")


@lru_cache(maxsize=8192)
def split_unit(text: str, *, single_letters: bool) -> tuple[str, Unit | None]:
    """A quantity as value and unit: "5\\text{ cm}^2" is ("5", cm^2); None for no unit known.

    Words behind a value that are no unit are dropped with it. A bare single letter (3s, 6m) may be
    a variable: it counts as a unit only if `single_letters`.
    """
    if single_letters and (match := _LETTERS_OVER_LETTERS.fullmatch(text)):
        unit, whole = read_unit(match["unit"])
        if unit and whole:
            return match["core"].strip(), unit
    for match in _TEXT_START.finditer(text):
        core, tail = text[: match.start()].strip(), text[match.start() :].strip()
        if "°" in tail[:2] and _TRIGONOMETRIC.search(core):
            continue
        if not core or not _ENDS_A_VALUE.search(core) or core.count("{") != core.count("}"):
            continue
        return _split(text, core, tail, wrapped=True)
    position = 0
    while found := _WORD_START.search(text, position):
        core, tail = text[: found.start()].strip(), text[found.end() :].strip()
        if core.count("{") == core.count("}") and core.count("(") == core.count(")"):
            unit, whole = read_unit(tail)
            letters = re.fullmatch(r"[A-Za-z](?:\s*\^\s*\{?\d\}?)?", tail)
            if unit is not None and whole and letters:
                return (core, unit) if single_letters else (text, None)
            if unit is not None and whole:
                return core, unit
            words = found["gap"] and _WORDS_ONLY.fullmatch(tail) and len(tail.split()[0]) > 1
            if words and not _HAS_VARIABLE.search(core):
                return _split(text, core, tail, wrapped=False)
        position = found.end() + 1
    return text, None


def _split(text: str, core: str, tail: str, *, wrapped: bool) -> tuple[str, Unit | None]:
    words = re.sub(r"\\text\s*\{|[{}()]", " ", tail)
    unit, whole = read_unit(tail)
    if changes_value(words) or (not whole and re.search(r"\d", re.sub(r"\^\s*-?\s*\d", "", words))):
        return text, None
    first = words.split()[0] if words.split() else ""
    if first in ("and", "or", "if", "when", "for", "where"):
        return text, None
    if wrapped and unit is None and re.search(r"[\\=<>]", words):
        return text, None
    if re.match(r"(?:a|per|each|every)\b", words.strip()):
        unit = None
    return core, unit


def same_kind(left: Unit, right: Unit) -> Fraction | None:
    """The factor from the right unit to the left one, None where they measure other things.

    Money by the hour is compared with plain money by its sum: the question says "per hour".
    """
    if left.powers == right.powers:
        return right.factor / left.factor
    for one, other in ((left, right), (right, left)):
        if len(one.powers) == 1 and one.powers[0][0] in _MONEY:
            name, power = one.powers[0]
            rest = [e for n, e in other.powers if n != name]
            if dict(other.powers).get(name) == power and rest and max(rest) < 0:
                return Fraction(1)
    return None


_AMOUNT = re.compile(
    r"\s*(?:,|and)?\s*(?P<value>\d+(?:\.\d+)?|\\frac\s*\{\d+\}\s*\{\d+\})\s*"
    r"(?P<unit>\\text\s*\{[^{}\d]*\}|[A-Za-z]+\.?(?=[\s,]|$))"
)


def single_unit(text: str) -> str:
    """7 hours 30 minutes as one number of its first unit; any other text as it is."""
    first = _AMOUNT.match(text)
    if first is None or first.end() == len(text) or len(text) > 120:
        return text
    total, powers, scale, position, count = Fraction(0), None, Fraction(1), 0, 0
    while position < len(text):
        match = _AMOUNT.match(text, position)
        if match is None:
            return text
        unit, whole = read_unit(re.sub(r"(?:,|and)\s*(?=\}?$)", "", match["unit"]))
        if unit is None or not whole or (powers is not None and unit.powers != powers):
            return text
        top, _, bottom = re.sub(r"[^\d./}]", "", match["value"]).rstrip("}").partition("}")
        if powers is None:
            powers, scale = unit.powers, unit.factor
        total += Fraction(top) / int(bottom or 1) * unit.factor / scale
        position, count = match.end(), count + 1
    if count < 2:
        return text
    return f"\\frac{{{total.numerator}}}{{{total.denominator}}} {first['unit']}"
