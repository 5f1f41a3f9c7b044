"""Do two answers say the same? Structure first, then numbers, then formulas.

`compare` takes a reference and an answer apart (lists, tuples, sets, intervals, unions, equations,
inequalities, matrices) and asks a `leaf` function about the parts. It answers True, False or None,
where None means: not decided here. `quick_leaf` settles strings, numbers and many formulas in
microseconds and never evaluates anything unbounded; symbolic.py brings the slow leaf, which runs in
an isolated worker.

Policy: comma lists and sets are unordered, tuples ordered; x=5 equals 5; a unit is ignored where
the other side has none; 50% equals 50 and 0.5 where one side carries the sign; an exact reference
needs agreement to six decimals, a decimal one agreement when rounded to its own decimals.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from . import formula
from .latex import Number, canonical, normalise, parse_number, strip_unit
from .shapes import FLIP, Shape, is_name, take_apart

Leaf = Callable[[str, str], bool | None]
SIX_DECIMALS = Fraction(1, 2_000_000)


def equivalent(reference: str, answer: str, leaf: Leaf) -> bool | None:
    """Compare two answers as written. None: neither equality nor difference was established."""
    gold, pred = normalise(reference), normalise(answer)
    if not gold or not pred:
        return None
    if canonical(gold) == canonical(pred):
        return True
    choice = _same_choice(gold, pred)
    if choice is not None:
        return choice
    same = compare(take_apart(gold), take_apart(pred), leaf)
    if not same and (label := _LABELLED.match(pred)):
        return compare(take_apart(gold), take_apart(pred[label.end() :]), leaf)
    return same


_LABELLED = re.compile(r"(?:\\text\s*\{\s*)?\(([A-H])\)\s*\}?\s*(?=\S)")


def _same_choice(gold: str, pred: str) -> bool | None:
    letter = canonical(gold).strip("()[].")
    if not (len(letter) == 1 and letter in "ABCDEFGHIJ"):
        return None
    other = canonical(pred)
    if other.strip("()[].*").upper() == letter:
        return True
    plain = pred.replace(r"\text", "").strip(" {}*")
    if match := re.match(r"\(?([A-J])(?:\)|[.:](?!\w)|,|\s+(?=[A-Za-z]{2}))", plain):
        return match[1] == letter
    return None


def compare(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    """Compare two shapes; `leaf` decides about their innermost parts."""
    if canonical(gold.text) == canonical(pred.text):
        return True
    if gold.kind == "equation" and pred.kind == "equation":
        return _compare_equations(gold, pred, leaf)
    if "equation" in (gold.kind, pred.kind):
        return _compare_unwrapped(gold, pred, leaf)
    if "inequality" in (gold.kind, pred.kind):
        if is_scalar(gold) or is_scalar(pred):
            return False
        return _compare_inequalities(gold, pred, leaf)
    kinds = {gold.kind, pred.kind}
    if kinds == {"leaf"}:
        return leaf(gold.text, pred.text)
    if kinds in ({"leaf", kind} for kind in ("tuple", "matrix", "union")):
        return False if is_scalar(gold) or is_scalar(pred) else None
    if kinds in ({"matrix", kind} for kind in ("union", "ratio", "list", "set")):
        return False
    if kinds == {"union", "list"} and (unions := [_as_union(s) for s in (gold, pred)]):
        if unions[0] and unions[1]:
            return _unordered(unions[0].parts, unions[1].parts, leaf) or None
    if kinds in ({"union", "list"}, {"union", "set"}):
        intervals = any(part.kind == "tuple" for part in gold.parts + pred.parts)
        return False if intervals else None
    if kinds <= {"list", "set"}:
        return _unordered(gold.parts, pred.parts, leaf)
    if kinds == {"tuple"}:
        return _compare_tuples(gold, pred, leaf)
    if kinds == {"union"}:
        return _unordered(gold.parts, pred.parts, leaf) or None
    if kinds == {"matrix"}:
        return gold.marks == pred.marks and _ordered(gold.parts, pred.parts, leaf)
    if kinds == {"ratio"}:
        return _compare_ratios(gold, pred, leaf)
    if kinds == {"tuple", "list"}:
        return _ordered(gold.parts, pred.parts, leaf)
    if kinds == {"tuple", "matrix"}:
        column = all(size == "1" for size in gold.marks + pred.marks if size.isdigit())
        return _ordered(gold.parts, pred.parts, leaf) if column else None
    if kinds == {"tuple", "set"}:
        return False
    if kinds <= {"list", "set", "leaf"}:
        return _one_against_many(gold, pred, leaf)
    if kinds == {"ratio", "leaf"}:
        return leaf(gold.text.replace(":", "/"), pred.text.replace(":", "/"))
    return None


def is_definite(shape: Shape) -> bool:
    """Whether a shape can be written in no other structure: scalars, and tuples of them."""
    return is_scalar(shape) or (shape.kind == "tuple" and all(map(is_definite, shape.parts)))


def is_scalar(shape: Shape) -> bool:
    """Whether a leaf is one quantity or one word: nothing that could be a set in disguise."""
    if shape.kind != "leaf" or _SET_OPERATION.search(shape.text):
        return False
    if (
        parse_number(shape.text)
        or plain_words(shape.text)
        or BASED.fullmatch(canonical(shape.text))
    ):
        return True
    try:
        formula.parse(strip_unit(shape.text[:300], single_letters=True)[0])
    except formula.FormulaError:
        return False
    return True


def _one_against_many(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    single, many = (gold, pred) if gold.kind == "leaf" else (pred, gold)
    if _SET_OPERATION.search(single.text):
        return None
    if len(many.parts) == 1:
        other = many.parts[0]
        return compare(gold, other, leaf) if single is gold else compare(other, pred, leaf)
    comma = parse_number(many.text, decimal_comma=True)
    number = parse_number(single.text)
    if comma and number:
        return comma.value == number.value
    return False if number or is_scalar(single) else None


def _ordered(gold: tuple[Shape, ...], pred: tuple[Shape, ...], leaf: Leaf) -> bool | None:
    if len(gold) != len(pred):
        return False
    verdict: bool | None = True
    for g, p in zip(gold, pred, strict=True):
        same = compare(g, p, leaf)
        if same is False:
            return False
        if same is None:
            verdict = None
    return verdict


def _unordered(gold: tuple[Shape, ...], pred: tuple[Shape, ...], leaf: Leaf) -> bool | None:
    gold = tuple({canonical(g.text): g for g in gold}.values())
    rest = list({canonical(p.text): p for p in pred}.values())
    if len(gold) != len(rest):
        return False if all(map(is_definite, (*gold, *rest))) else None
    undecided = False
    for g in gold:
        answers = []
        for p in rest:
            answers.append(compare(g, p, leaf))
            if answers[-1]:
                del rest[len(answers) - 1]
                break
        else:
            if None not in answers:
                return False
            undecided = True
    return None if undecided else True


def _compare_tuples(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    if len(gold.parts) == 2 and gold.marks != pred.marks:
        return False
    return _ordered(gold.parts, pred.parts, leaf)


def _compare_ratios(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    same = _ordered(gold.parts, pred.parts, leaf)
    numbers = [[parse_number(p.text) for p in shape.parts] for shape in (gold, pred)]
    clock = re.compile(r"\d{1,2}:\d\d(?::\d\d)?")
    if same is False and not any(clock.fullmatch(s.text) for s in (gold, pred)):
        g, p = ([n.value for n in side if n] for side in numbers)
        if len(g) == len(p) == len(gold.parts) == len(pred.parts) and all(g) and all(p):
            return all(a * p[0] == b * g[0] for a, b in zip(g, p, strict=True))
    return same


def _value(equation: Shape) -> tuple[Shape, Shape]:
    """First and last side of a chain, the naming side first: 2=x is x=2."""
    first, last = equation.parts[0], equation.parts[-1]
    if is_name(last.text) and not is_name(first.text):
        return last, first
    return first, last


def _compare_equations(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    (g_name, g_value), (p_name, p_value) = _value(gold), _value(pred)
    if not (is_name(g_name.text) and is_name(p_name.text)):
        return leaf(gold.text, pred.text) if len(gold.parts) == len(pred.parts) == 2 else None
    p_name, p_value = _same_argument(g_name, p_name, p_value)
    same = compare(g_value, p_value, leaf)
    if canonical(g_name.text) == canonical(p_name.text):
        return same
    if same and not _letters(g_value.text) and _head(g_name.text) == _head(p_name.text):
        return True  # W(n) = 1 and W(x) = 1
    if same and g_name.kind == p_name.kind == "leaf" and len(gold.parts) == len(pred.parts) == 2:
        return False if not _letters(g_value.text + p_value.text) else None
    if len(gold.parts) == len(pred.parts) == 2:
        return same_equation(gold.text, pred.text)
    return None


def _same_argument(name: Shape, other: Shape, value: Shape) -> tuple[Shape, Shape]:
    """f(x)=2x with the argument called as in f(n)=2n."""
    match = _FUNCTION.fullmatch(canonical(name.text)), _FUNCTION.fullmatch(canonical(other.text))
    if not match[0] or not match[1] or match[0][1] != match[1][1]:
        return other, value
    old, new = match[1][2], match[0][2]
    if old == new or new in re.sub(r"\\[A-Za-z]+", "", value.text):
        return other, value
    text = re.sub(r"\\[A-Za-z]+|" + old, lambda m: new if m[0] == old else m[0], value.text)
    return name, take_apart(text)


_FUNCTION = re.compile(r"([A-Za-z])\(([a-z])\)")


def _letters(text: str) -> bool:
    return (
        re.search(r"[A-Za-z]", re.sub(r"\\(?:[A-Za-z]+)|(?<![A-Za-z])e(?![A-Za-z])", "", text))
        is not None
    )


def _head(name: str) -> str:
    return name.split("(")[0].strip()


def _compare_unwrapped(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    """An equation against a value: x=5 and 5. A reference is unwrapped only where it names."""
    if pred.kind == "equation":
        name, value = _value(pred)
        if not is_name(name.text):
            value = pred.parts[-1]
        return compare(gold, value, leaf)
    name, value = _value(gold)
    if len(gold.parts) > 2 or is_name(name.text):
        return compare(value, pred, leaf)
    return False


def _interval(shape: Shape) -> Shape | None:
    """a <= x < b as the interval [a, b); None where it is no such inequality."""
    sides, signs = list(shape.parts), list(shape.marks)
    if any(sign not in ("<", ">", r"\le", r"\ge") for sign in signs):
        return None
    if len({sign in ("<", r"\le") for sign in signs}) > 1:
        return None
    if signs[0] in (">", r"\ge"):
        sides, signs = sides[::-1], [FLIP[sign] for sign in reversed(signs)]
    infinity = Shape("leaf", r"\infty ")
    if len(sides) == 3 and is_name(sides[1].text):
        low, high, left, right = sides[0], sides[2], signs[0], signs[1]
    elif len(sides) == 2 and is_name(sides[0].text):
        low, high, left, right = Shape("leaf", r"-\infty "), sides[1], "<", signs[0]
    elif len(sides) == 2 and is_name(sides[1].text):
        low, high, left, right = sides[0], infinity, signs[0], "<"
    else:
        return None
    marks = ("[" if left == r"\le" else "(", "]" if right == r"\le" else ")")
    text = f"{marks[0]}{low.text},{high.text}{marks[1]}"
    return Shape("tuple", text, (low, high), marks)


def _as_union(shape: Shape) -> Shape | None:
    """x < 1 or x > 2 as a union of intervals; a union as it is."""
    if shape.kind == "union":
        return shape
    intervals = [_interval(part) if part.kind == "inequality" else None for part in shape.parts]
    if len({_named(part) for part in shape.parts}) > 1 or None in intervals:
        return None
    return Shape("union", shape.text, tuple(i for i in intervals if i))


def _compare_inequalities(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    if gold.kind == pred.kind:
        for marks, parts in (
            (pred.marks, pred.parts),
            (tuple(FLIP[sign] for sign in reversed(pred.marks)), pred.parts[::-1]),
        ):
            if gold.marks == marks and _ordered(gold.parts, parts, leaf):
                return True
    intervals = [_interval(s) if s.kind == "inequality" else s for s in (gold, pred)]
    if intervals[0] and intervals[1]:
        if gold.kind == pred.kind and _named(gold) != _named(pred):
            return None
        return compare(intervals[0], intervals[1], leaf) or None
    return None


def _named(inequality: Shape) -> str:
    return next((canonical(p.text) for p in inequality.parts if is_name(p.text)), "")


_SET_OPERATION = re.compile(r"\\(?:cap|cup|setminus|backslash|mathbb)(?![a-zA-Z])")

# --- leaves -------------------------------------------------------------------------------------

_WORDS = re.compile(r"[A-Za-z][A-Za-z'\s.\-]+")
BASED = re.compile(r"([0-9A-F]+)_\{?(\d+)\}?")


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
    if texts[0] is not None or texts[1] is not None:
        return _same_text(gold, pred, texts)
    return same_formula(gold, pred)


def _numbers(gold: str, pred: str) -> bool | None:
    left, right = (parse_number(side, decimal_comma=True) for side in (gold, pred))
    return same_number(left, right) if left and right else None


def without_units(gold: str, pred: str) -> tuple[str, str, bool | None]:
    """Both sides without their units; False in third place where the units contradict."""
    if max(len(gold), len(pred)) > 300:
        return gold, pred, None
    g, g_unit = strip_unit(gold, single_letters=False)
    p, p_unit = strip_unit(pred, single_letters=True)
    if g_unit and p_unit and g_unit != p_unit and parse_number(g) and parse_number(p):
        return g, p, False
    return _without_degrees(g), _without_degrees(p), None


def _without_degrees(text: str) -> str:
    return text if re.search(r"\\(?:sin|cos|tan|sec|csc|cot)", text) else text.rstrip("° ")


def same_number(gold: Number, pred: Number) -> bool:
    """The policy for rational constants: percent, six decimals, rounded references."""
    candidates = [pred.value]
    if gold.percent != pred.percent:
        candidates.append(pred.value / 100 if pred.percent else pred.value * 100)
    return any(_close(gold, replace_value(pred, value)) for value in candidates)


def replace_value(number: Number, value: Fraction) -> Number:
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
    if difference <= SIX_DECIMALS * min(1, abs(gold.value) * 1000):
        return True
    own = gold.decimals
    if own is None or not (own >= 2 or (own == 1 and gold.digits >= 3)):
        return False
    finer = decimals is None or decimals >= own + 2
    return finer and gold.digits >= 2 and difference <= Fraction(1, 2 * 10**own)


def _same_base(gold: str, pred: str) -> bool | None:
    matches = [BASED.fullmatch(canonical(side)) for side in (gold, pred)]
    if matches[0] and matches[1]:
        return matches[0].groups() == matches[1].groups()
    if matches[0] and is_scalar(Shape("leaf", pred)):
        return matches[0][1] == canonical(pred)
    if matches[1] and is_scalar(Shape("leaf", gold)):
        return matches[1].groups() == (canonical(gold), "10")
    return None


def plain_words(text: str) -> str | None:
    """The text in lower case if it is words rather than a formula."""
    wrapped = re.search(r"\\text\s*\{[^{}]*[A-Za-z]{2}", text) is not None
    plain = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text).strip(" .\"'*")
    if not _WORDS.fullmatch(plain) or not (wrapped or re.search(r"[A-Za-z]{3}", plain)):
        return None
    return " ".join(re.sub(r"^(?:the|an?)\s+", "", plain.lower()).split())


def _same_text(gold: str, pred: str, texts: list[str | None]) -> bool | None:
    keys = [re.sub(r"[.,'\"(){}]", "", canonical(side).lower()) for side in (gold, pred)]
    if texts[0] is not None and texts[1] is not None:
        return texts[0] == texts[1] or keys[0] == keys[1]
    if keys[0] == keys[1]:
        return True
    other = gold if texts[1] is not None else pred
    return False if is_scalar(Shape("leaf", other)) else None


POINTS = 7
DOUBLE_TOLERANCE = 1e-7  # relative; rounding stays far below it
DECIMAL_TOLERANCE = 1e-2  # where a side is a decimal, which may be rounded


def same_formula(gold: str, pred: str) -> bool | None:
    """A clear difference in double precision, or exact agreement at rational points."""
    try:
        trees = formula.parse(gold), formula.parse(pred)
    except formula.FormulaError:
        return None
    trees = one_case(trees)
    names = formula.variables(trees[0]) | formula.variables(trees[1])
    points = formula.sample_points(names, POINTS if names else 1)
    if "%" not in gold + pred and _differ(trees, points, "." in gold + pred):
        return False
    exact = [list(formula.values_at(tree, formula.EXACT, points)) for tree in trees]
    if any(value is None for side in exact for value in side):
        return None
    if exact[0] == exact[1]:
        return True
    return None if names else _decimals_agree(gold, pred, exact[0][0], exact[1][0])


def one_case(trees: tuple[formula.Tree, formula.Tree]) -> tuple[formula.Tree, formula.Tree]:
    """Both trees in lower case where their variables differ by case alone: n and N."""
    left, right = map(formula.variables, trees)
    lowered = formula.lowered(trees[0]), formula.lowered(trees[1])
    names = [formula.variables(tree) for tree in lowered]
    if left != right and names[0] == names[1] and len(left) == len(right) == len(names[0]):
        return lowered
    return trees


def _differ(trees: tuple[formula.Tree, formula.Tree], points: list, decimal: bool) -> bool:
    """Whether two formulas differ at a point where both are real, beyond any rounding."""
    tolerance = DECIMAL_TOLERANCE if decimal else DOUBLE_TOLERANCE
    every_point = len(points) == 1 or any(map(formula.is_complex, trees))
    for point in points:
        doubles = [{name: complex(float(value)) for name, value in point.items()}]
        a, b = (next(formula.values_at(tree, formula.DOUBLE, doubles)) for tree in trees)
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
    points = formula.sample_points(names, POINTS)
    exact = [list(formula.values_at(tree, formula.EXACT, points)) for tree in trees]
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
