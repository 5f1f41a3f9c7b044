"""Do two answers say the same? Structure first, then numbers, then formulas.

`compare` takes a reference and an answer apart (lists, tuples, sets, intervals, unions, equations,
inequalities, matrices) and asks a `leaf` function about the parts: `leaves.quick_leaf`, which takes
microseconds, or the one of symbolic.py, which runs in an isolated worker. It answers True, False or
None, where None means: not decided here.

Policy: comma lists and sets are unordered, tuples ordered; x=5 equals 5; a unit is ignored where
the other side has none; 50% equals 50 and 0.5 where one side carries the sign; an exact reference
needs agreement to six decimals, a decimal one agreement when rounded to its own decimals.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from .choice import beside_letter, letter_of, letters_of, same_choice
from .families import PARAMETER, both_families, same_family, without_quantifiers
from .latex import canonical, normalise, trim
from .leaves import SET_OPERATION, canonical_words, is_scalar, same_equation
from .lists import labelled_parts, ungrouped
from .numerals import parse_number
from .sets import as_union, in_symbols, named
from .shapes import FLIP, Shape, as_point, is_condition, is_name, take_apart
from .times import same_time
from .units import single_unit
from .words import in_figures, no_answer

Leaf = Callable[[str, str], bool | None]


@lru_cache(maxsize=8192)
def as_read(text: str) -> str:
    """An answer normalised, and what it says in words as a formula."""
    text = normalise(text)
    if text.isalnum() and text.isascii() and len(text) < 3:
        return text
    text = in_figures(without_quantifiers(in_symbols(text)))
    return trim(labelled_parts(single_unit(ungrouped(text))))


def equivalent(reference: str, answer: str, leaf: Leaf) -> bool | None:
    """Compare two answers as written. None: neither equality nor difference was established."""
    gold, pred = as_read(reference), as_read(answer)
    if not gold or not pred:
        return None
    if canonical(gold) == canonical(pred):
        return True
    letter = letter_of(gold)
    if letter and (choice := same_choice(letter, pred)) is not None:
        return choice
    if not gold.isalpha() and (wanted := letters_of(gold)) and (chosen := letters_of(pred)):
        return wanted == chosen  # A, C; the reference AC may be a segment
    if (time := same_time(gold, pred)) is not None:
        return time
    if families := both_families(gold, pred):
        return compare(take_apart(families[0]), take_apart(families[1]), _with_families(leaf))
    same = compare(take_apart(gold), take_apart(pred), leaf)
    if same:
        denied = [_NOT.search(side) is not None for side in (gold, pred)]
        return denied[0] == denied[1] or no_answer(canonical_words(pred)) is not None
    option, other = beside_letter(gold), beside_letter(pred)
    if option and other is None and same_choice(option[0], pred):
        return True
    if option or other:
        g, p = option[1] if option else gold, other[1] if other else pred
        return compare(take_apart(g), take_apart(p), leaf)
    return same


_NOT = re.compile(r"(?<![A-Za-z\\])not(?![A-Za-z])")


def _with_families(leaf: Leaf) -> Leaf:
    def family_leaf(gold: str, pred: str) -> bool | None:
        marked = PARAMETER.strip() in gold, PARAMETER.strip() in pred
        if marked[0] != marked[1]:
            return False
        same = same_family(gold, pred) if all(marked) else None
        return leaf(gold, pred) if same is None else same

    return family_leaf


def compare(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    """Compare two shapes; `leaf` decides about their innermost parts."""
    if canonical(gold.text) == canonical(pred.text):
        return True
    if gold.kind == "equation" and pred.kind == "equation":
        return _compare_equations(gold, pred, leaf)
    if "equation" in (gold.kind, pred.kind):
        return _compare_unwrapped(gold, pred, leaf)
    if "inequality" in (gold.kind, pred.kind):
        if _is_scalar(gold) or _is_scalar(pred):
            return False
        return _compare_inequalities(gold, pred, leaf)
    kinds = {gold.kind, pred.kind}
    if kinds == {"leaf"}:
        return leaf(gold.text, pred.text)
    if "leaf" in kinds and kinds & {"tuple", "matrix"}:
        size = len(gold.parts or pred.parts)
        gold, pred = as_point(gold, size) or gold, as_point(pred, size) or pred
        kinds = {gold.kind, pred.kind}
    if kinds in ({"leaf", kind} for kind in ("tuple", "matrix", "union")):
        return False if _is_scalar(gold) or _is_scalar(pred) else None
    if kinds == {"cases"}:
        return _compare_cases(gold, pred, leaf)
    if kinds in ({"matrix", kind} for kind in ("union", "ratio", "list", "set")):
        return False
    if "complement" in kinds or kinds in ({"union", "list"}, {"union", "set"}):
        return _compare_unions(gold, pred, leaf)
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
    if kinds == {"tuple", "list"} and any(p.kind == "inequality" for p in gold.parts + pred.parts):
        return _compare_unions(gold, pred, leaf)
    if kinds == {"tuple", "list"}:
        gold, pred = _in_order_of_names(gold), _in_order_of_names(pred)
        return _ordered(gold.parts, pred.parts, leaf)
    if kinds == {"tuple", "matrix"}:
        sizes = [size for size in gold.marks + pred.marks if size.isdigit()]
        vector = len(sizes) == 1 or set(sizes) == {"1"}
        return _ordered(gold.parts, pred.parts, leaf) if vector else None
    if kinds == {"tuple", "set"}:
        return False
    if kinds <= {"list", "set", "leaf"}:
        return _one_against_many(gold, pred, leaf)
    if kinds == {"ratio", "leaf"}:
        return leaf(gold.text.replace(":", "/"), pred.text.replace(":", "/"))
    return None


def _in_order_of_names(shape: Shape) -> Shape:
    """y=-1, x=4 as x=4, y=-1, where the list names coordinates."""
    if shape.kind != "list" or any(part.kind != "equation" for part in shape.parts):
        return shape
    names = [part.parts[0].text.strip() for part in shape.parts]
    if len(set(names)) < len(names) or not any(set(names) <= set(s) for s in ("xyz", "abcd")):
        return shape
    ordered = sorted(shape.parts, key=lambda part: part.parts[0].text.strip())
    return replace(shape, parts=tuple(ordered))


def _is_definite(shape: Shape) -> bool:
    """Whether a shape can be written in no other structure: scalars, and tuples of them."""
    return _is_scalar(shape) or (shape.kind == "tuple" and all(map(_is_definite, shape.parts)))


def _is_scalar(shape: Shape) -> bool:
    return shape.kind == "leaf" and is_scalar(shape.text)


def _one_against_many(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    single, many = (gold, pred) if gold.kind == "leaf" else (pred, gold)
    if SET_OPERATION.search(single.text):
        return None
    if len({_key(part) for part in many.parts}) == 1:  # also "1/2, that is 0.5"
        other = many.parts[0]
        return compare(gold, other, leaf) if single is gold else compare(other, pred, leaf)
    if single is gold and all(compare(gold, part, leaf) for part in many.parts):
        return True
    comma = parse_number(many.text, decimal_comma=True)
    number = parse_number(single.text)
    if comma and number:
        return comma.value == number.value
    return False if number or _is_scalar(single) else None


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


def _key(shape: Shape) -> object:
    """What repeated elements of a list share: the value of a number, else the spelling."""
    number = parse_number(shape.text)
    return (number.value, number.percent) if number else canonical(shape.text)


def _unordered(gold: tuple[Shape, ...], pred: tuple[Shape, ...], leaf: Leaf) -> bool | None:
    gold = tuple({_key(g): g for g in gold}.values())
    rest = list({_key(p): p for p in pred}.values())
    if len(gold) != len(rest):
        return False if all(map(_is_definite, (*gold, *rest))) else None
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
            if is_condition(name.text):
                return False
            value = pred.parts[-1]
        return compare(gold, value, leaf)
    name, value = _value(gold)
    if len(gold.parts) > 2 or is_name(name.text):
        return compare(value, pred, leaf)
    return False


def _compare_unions(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    left, right = as_union(gold), as_union(pred)
    if left and right:
        return _unordered(left.parts, right.parts, leaf) or None
    return False if any(part.kind == "tuple" for part in gold.parts + pred.parts) else None


def _compare_inequalities(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    if gold.kind == pred.kind:
        for marks, parts in (
            (pred.marks, pred.parts),
            (tuple(FLIP[sign] for sign in reversed(pred.marks)), pred.parts[::-1]),
        ):
            if gold.marks == marks and _ordered(gold.parts, parts, leaf):
                return True
        names = {named(gold), named(pred)} - {""}
        if len(names) > 1:
            return None
    left, right = as_union(gold), as_union(pred)
    if left and right:
        return _unordered(left.parts, right.parts, leaf) or None
    return None


def _compare_cases(gold: Shape, pred: Shape, leaf: Leaf) -> bool | None:
    """Pieces in any order; a condition left open (otherwise) fits whatever is left for it."""
    rest = sorted(pred.parts, key=lambda piece: not piece.parts[1].text)
    if len(gold.parts) != len(rest):
        return None
    verdict: bool | None = True
    for piece in sorted(gold.parts, key=lambda piece: not piece.parts[1].text):
        answers = []
        for other in rest:
            value = compare(piece.parts[0], other.parts[0], leaf)
            condition: bool | None = True
            if piece.parts[1].text and other.parts[1].text:
                condition = compare(piece.parts[1], other.parts[1], leaf)
            both = (value, condition)
            answers.append(False if False in both else None if None in both else True)
            if answers[-1]:
                rest.remove(other)
                break
        else:
            if None not in answers:
                return False
            verdict = None
    return verdict
