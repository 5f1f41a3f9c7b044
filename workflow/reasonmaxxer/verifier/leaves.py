"""The parts of an answer that have no structure of their own: numbers, words, formulas, equations.

`quick_leaf` decides most pairs in microseconds and never evaluates anything unbounded.
"""

import re
from fractions import Fraction

from . import formula
from .fields import DOUBLE, EXACT, points_for, sample_points, values_at
from .latex import canonical
from .notation import with_counts
from .numerals import Number, parse_number
from .units import Unit, same_kind, split_unit
from .words import EMPTY, changes_value, no_answer

SIX_DECIMALS = Fraction(1, 2_000_000)
SET_OPERATION = re.compile(r"\\(?:cap|cup|setminus|backslash|mathbb)(?![a-zA-Z])")
_WORDS = re.compile(r"[A-Za-z][A-Za-z'\s.\-]+")
_BASED = re.compile(r"([0-9A-F]+)_\{?(\d+)\}?")


def quick_leaf(gold: str, pred: str) -> bool | None:
    """Strings, numbers and formulas that need no computer algebra; None where it is needed."""
    if canonical(gold) == canonical(pred):
        return True
    bases = _same_base(gold, pred)
    if bases is not None:
        return bases
    if (numbers := _numbers(gold, pred)) is not None:
        return numbers
    gold, pred, units = without_units(gold, pred)
    if units is False:
        return False
    if canonical(gold) == canonical(pred):
        return True
    if (numbers := _numbers(gold, pred)) is not None:
        return numbers
    if "=" in gold and "=" in pred:
        return same_equation(gold, pred)
    texts = [plain_words(side) for side in (gold, pred)]
    if (texts[0] is not None or texts[1] is not None) and not _same_letters(gold, pred):
        return _same_text(gold, pred, texts)
    return same_formula(gold, pred)


def is_scalar(text: str) -> bool:
    """Whether a text is one quantity or one word: nothing that could be a set in disguise."""
    if SET_OPERATION.search(text):
        return False
    if parse_number(text) or plain_words(text) or _BASED.fullmatch(canonical(text)):
        return True
    try:
        formula.parse(split_unit(text[:300], single_letters=True)[0])
    except formula.FormulaError:
        return False
    return True


def _numbers(gold: str, pred: str) -> bool | None:
    left, right = (parse_number(side, decimal_comma=True) for side in (gold, pred))
    return same_number(left, right) if left and right else None


def _without_sentence(text: str) -> str:
    """\\text{There are } 5 \\text{ ways} without its first words, unless they change the value."""
    match = _SENTENCE.match(text)
    if match is None or changes_value(match[0]) or _LEADS_ON.search(match[0]):
        return text
    rest = text[match.end() :]
    return rest if parse_number(split_unit(rest, single_letters=False)[0]) else text


_SENTENCE = re.compile(
    r"(?:\\text\s*\{[^{}]*\}|[A-Za-z]{2,}(?: [A-Za-z']+)* (?:is|are|has|have|costs?|takes?)\s)"
    r"\s*=?\s*(?=[-\d(\\])"
)
_LEADS_ON = re.compile(r"(?<!total )\b(?:of|by|to|from|with)\W*$")  # multiples of, divisible by


def without_units(gold: str, pred: str) -> tuple[str, str, bool | None]:
    """Both sides in one unit and without it; False in third place where they measure other things.

    A unit that the other side has none of is dropped.
    """
    if max(len(gold), len(pred)) > 300 or _same_letters(gold, pred):
        return gold, pred, None
    gold, pred = (_without_sentence(side) for side in (gold, pred))
    g, g_unit = split_unit(gold, single_letters=False)
    p, p_unit = split_unit(pred, single_letters=True)
    if p_unit and not g_unit and g == gold:
        g, g_unit = _measured(gold)
    if g_unit and p_unit and g_unit != p_unit:
        factor = same_kind(g_unit, p_unit)
        if factor is None:
            return g, p, False
        if factor != 1:
            p = _times(p, factor)
    return g, p, None


def _same_letters(gold: str, pred: str) -> bool:
    """Whether two products of a few bare letters differ in their order alone: 2gh and 2hg."""
    if "\\" in gold + pred:
        return False
    letters = [sorted(re.findall(r"[A-Za-z]", side)) for side in (gold, pred)]
    return letters[0] == letters[1] and 1 < len(letters[0]) <= 4


def _measured(gold: str) -> tuple[str, Unit | None]:
    """A reference such as 5 m beside an answer in units: a number, its letter a unit too."""
    core, unit = split_unit(gold, single_letters=True)
    return (core, unit) if unit and parse_number(core) else (gold, None)


def _times(text: str, factor: Fraction) -> str:
    number = parse_number(text)
    if number is None or number.percent:
        return f"({text})*\\frac{{{factor.numerator}}}{{{factor.denominator}}}"
    value = number.value * factor
    sign = "-" if value < 0 else ""
    if value.denominator == 1:
        return str(value)
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def same_number(gold: Number, pred: Number) -> bool:
    """The policy for rational constants: percent, six decimals, rounded references."""
    candidates = [pred.value]
    if gold.percent != pred.percent:
        candidates.append(pred.value / 100 if pred.percent else pred.value * 100)
    return any(_close(gold, _revalued(pred, value)) for value in candidates)


def _revalued(number: Number, value: Fraction) -> Number:
    shifted = number.decimals if value == number.value else None
    return Number(value, False, shifted, number.digits if shifted is not None else 0)


def _close(gold: Number, pred: Number) -> bool:
    if gold.value == pred.value:
        return True
    if gold.decimals is None and pred.decimals is None:
        return False
    return close_values(gold, pred.value, pred.decimals)


def close_values(gold: Number, value: Fraction, decimals: int | None) -> bool:
    """Whether `value` is the reference to six decimals, or rounds to a decimal reference.

    `decimals` of the value, None for an exact one: only a value at least two decimals finer than
    the reference is rounded to it (3.14159 for 3.14, but not 3.142).
    """
    difference = abs(gold.value - value)
    if difference <= SIX_DECIMALS * min(Fraction(1), abs(gold.value) * 1000):
        return True
    own = gold.decimals
    if own is None or not (own >= 2 or (own == 1 and gold.digits >= 3)):
        return False
    finer = decimals is None or decimals >= own + 2
    return finer and gold.digits >= 2 and difference <= Fraction(1, 2 * 10**own)


def _same_base(gold: str, pred: str) -> bool | None:
    matches = [_BASED.fullmatch(canonical(side)) for side in (gold, pred)]
    if matches[0] and matches[1]:
        return matches[0].groups() == matches[1].groups()
    if matches[0] and is_scalar(pred):
        return matches[0][1] == canonical(pred)
    if matches[1] and is_scalar(gold):
        return matches[1].groups() == (canonical(gold), "10")
    return None


def plain_words(text: str) -> str | None:
    """The text in lower case if it is words rather than a formula."""
    wrapped = re.search(r"\\text\s*\{[^{}]*[A-Za-z]{2}", text) is not None
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text).strip(" .!\"'*")
    if not _WORDS.fullmatch(plain) or not (wrapped or re.search(r"[A-Za-z]{3}", plain)):
        return None
    return " ".join(re.sub(r"^(?:the|an?)\s+", "", plain.lower()).split())


def canonical_words(text: str) -> str:
    """The text without wrappers, for reading it as words."""
    return re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text)


def _same_text(gold: str, pred: str, texts: list[str | None]) -> bool | None:
    ways = [
        EMPTY if EMPTY in side and len(side) < 12 else no_answer(canonical_words(side))
        for side in (gold, pred)
    ]
    if ways[0] and ways[1]:
        return ways[0] == ways[1] or {EMPTY, "nothing"} == set(ways)
    keys = [re.sub(r"[.,'\"(){}]", "", canonical(side).lower()) for side in (gold, pred)]
    if texts[0] is not None and texts[1] is not None:
        return texts[0] == texts[1] or keys[0] == keys[1]
    if keys[0] == keys[1]:
        return True
    other = gold if texts[1] is not None else pred
    return False if is_scalar(other) else None


POINTS = 7
DOUBLE_TOLERANCE = 1e-7  # relative; rounding stays far below it
DECIMAL_TOLERANCE = 1e-2  # where a side is a decimal, which may be rounded


def same_formula(gold: str, pred: str) -> bool | None:
    """A clear difference in double precision, or exact agreement at rational points."""
    gold, pred = with_counts(gold, points=True), with_counts(pred, points=False)
    try:
        trees = formula.parse(gold), formula.parse(pred)
    except formula.FormulaError:
        return None
    trees = formula.one_case(trees)
    points = points_for(trees, POINTS)
    if "%" not in gold + pred and _differ(trees, points, "." in gold + pred):
        return False
    exact = [list(values_at(tree, EXACT, points)) for tree in trees]
    if any(value is None for side in exact for value in side):
        return None
    if exact[0] == exact[1]:
        return True
    return None if points[0] else _decimals_agree(gold, pred, exact[0][0], exact[1][0])


def _differ(trees: tuple[formula.Tree, formula.Tree], points: list, decimal: bool) -> bool:
    """Whether two formulas differ at a point where both are real, beyond any rounding."""
    tolerance = DECIMAL_TOLERANCE if decimal else DOUBLE_TOLERANCE
    every_point = len(points) == 1 or any(map(formula.is_complex, trees))
    for point in points:
        doubles = [{name: complex(float(value)) for name, value in point.items()}]
        a, b = (next(values_at(tree, DOUBLE, doubles)) for tree in trees)
        if a is None or b is None:
            continue
        scale = max(abs(a), abs(b), 1e-300)
        real = max(abs(a.imag), abs(b.imag)) <= 1e-9 * scale
        if (real or every_point) and abs(a - b) > tolerance * scale:
            return True
    return False


def _decimals_agree(gold: str, pred: str, left: Fraction, right: Fraction) -> bool:
    number = parse_number(gold) or Number(left)
    other = parse_number(pred) or Number(right)
    if "." not in gold + pred and not (number.percent or other.percent):
        return False
    return same_number(number, other)


def same_equation(gold: str, pred: str) -> bool | None:
    """Equations whose sides differ by a constant factor are the same equation."""
    try:
        trees = [_difference(side) for side in (gold, pred)]
    except formula.FormulaError:
        return None
    names = formula.variables(trees[0])
    if names != formula.variables(trees[1]):
        return False
    points = sample_points(names, POINTS)
    exact = [list(values_at(tree, EXACT, points)) for tree in trees]
    if any(not value for side in exact for value in side):
        return None
    ratios = {a / b for a, b in zip(*exact, strict=True)}
    if len(ratios) == 1:
        return True
    return False if all(map(_is_linear, trees)) else None


def _difference(equation: str) -> formula.Tree:
    left, sign, right = equation.partition("=")
    if not sign or "=" in right:
        raise formula.FormulaError("not one equation")
    return ("-", formula.parse(left.strip()), formula.parse(right.strip()))


def _is_linear(tree: formula.Tree) -> bool:
    """Whether no variable is multiplied by a variable, divided by, or raised to a power."""
    if not formula.variables(tree):
        return True
    if tree[0] in ("+", "-", "neg", "variable"):
        return tree[0] == "variable" or all(map(_is_linear, tree[1:]))
    if tree[0] == "*":
        return all(map(_is_linear, tree[1:])) and not all(map(formula.variables, tree[1:]))
    return tree[0] == "/" and _is_linear(tree[1]) and not formula.variables(tree[2])
