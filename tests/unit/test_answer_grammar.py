"""Answers drawn from a grammar with a known value, read as that value however they are written."""

from collections.abc import Callable
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from renderings import boxed, near_misses, renderings

from reasonmaxxer.verifier.judge import judge_pairs

quick = settings(max_examples=30, deadline=None)

WHOLE = st.integers(-(10**7), 10**7).map(str)
FRACTIONS = st.builds(
    lambda p, q, sign: f"{sign}\\frac{{{p}}}{{{q}}}",
    st.integers(1, 400),
    st.integers(2, 60),
    st.sampled_from(["", "-"]),
)
DECIMALS = st.builds(lambda n: f"{n / 1000:.3f}", st.integers(-(10**6), 10**6))
FORMULAS = st.builds(
    lambda a, b, c: f"{a}x^2 + {b}\\sqrt{{{c}}}",
    st.integers(2, 30),
    st.integers(2, 30),
    st.sampled_from([2, 3, 5, 7, 11]),
)
PAIRS = st.builds(
    lambda a, b: f"({a}, {b})", st.integers(-50, 50), st.integers(51, 99).map(lambda n: f"{n}")
)
REFERENCES = st.one_of(WHOLE, FRACTIONS, DECIMALS, FORMULAS, PAIRS)


def outcomes(gold: str, completions: list[str]) -> dict[str, str]:
    pairs = [(gold, text) for text in completions]
    return {pair[1]: v.verdict for pair, v in zip(pairs, judge_pairs(pairs), strict=True)}


SEVERAL = st.lists(REFERENCES, min_size=10, max_size=10, unique=True)


def pairs_of(golds: list[str], completions: Callable[[str], list[str]]) -> list[tuple[str, str]]:
    return [(gold, text) for gold in golds for text in completions(gold)]


@given(SEVERAL)
@settings(max_examples=4, deadline=None)
def test_a_reference_is_read_in_every_ordinary_rendering(golds: list[str]) -> None:
    pairs = pairs_of(golds, renderings)
    judged = zip(pairs, judge_pairs(pairs), strict=True)
    assert [(*pair, v.verdict) for pair, v in judged if v.verdict != "correct"] == []


@given(SEVERAL)
@settings(max_examples=4, deadline=None)
def test_no_near_miss_is_correct(golds: list[str]) -> None:
    pairs = pairs_of(golds, near_misses)
    judged = zip(pairs, judge_pairs(pairs), strict=True)
    assert [pair for pair, v in judged if v.verdict == "correct"] == []


LENGTHS = {"mm": Fraction(1, 1000), "cm": Fraction(1, 100), "m": Fraction(1), "km": Fraction(1000)}
TIMES = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
MASSES = {"mg": Fraction(1, 1000), "g": Fraction(1), "kg": Fraction(1000)}
SCALES = st.sampled_from([LENGTHS, TIMES, MASSES])


@given(st.data(), st.integers(1, 500), SCALES)
@quick
def test_a_quantity_equals_itself_in_another_unit_and_no_other(data, value, scale) -> None:
    unit, other = (data.draw(st.sampled_from(sorted(scale))) for _ in range(2))
    converted = Fraction(value) * scale[unit] / scale[other]
    written = f"\\frac{{{converted.numerator}}}{{{converted.denominator}}}\\text{{ {other}}}"
    gold = f"{value}\\text{{ {unit}}}"
    assert outcomes(gold, [boxed(written)])[boxed(written)] == "correct"
    if unit != other:
        same_number = boxed(f"{value}\\text{{ {other}}}")
        assert outcomes(gold, [same_number])[same_number] == "incorrect"


ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
ONES += "fifteen sixteen seventeen eighteen nineteen"
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def in_words(n: int) -> str:
    if n >= 1000:
        rest = f" {in_words(n % 1000)}" if n % 1000 else ""
        return f"{in_words(n // 1000)} thousand{rest}"
    if n >= 100:
        return f"{in_words(n // 100)} hundred" + (f" and {in_words(n % 100)}" if n % 100 else "")
    if n >= 20:
        return TENS[n // 10 - 2] + (f"-{in_words(n % 10)}" if n % 10 else "")
    return ONES.split()[n]


@given(st.integers(0, 999_999), st.integers(0, 999_999))
@quick
def test_a_number_in_words_is_that_number_and_no_other(value: int, other: int) -> None:
    right, wrong = (boxed(rf"\text{{{in_words(n)}}}") for n in (value, other))
    found = outcomes(str(value), [right, wrong])
    assert found[right] == "correct"
    assert (found[wrong] == "correct") == (value == other)


@given(st.sampled_from("ABCDE"), st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=5))
@quick
def test_only_the_one_letter_alone_is_an_answer_of_choice(gold: str, letters: list[str]) -> None:
    completions = [
        boxed(join.join(letters)) for join in (", ", " or ", "/", " and ", "; ", " ", "")
    ] + [f"The answer is {' or '.join(letters)}."]
    for text, verdict in outcomes(gold, completions).items():
        assert (verdict == "correct") == (set(letters) == {gold} and len(letters) == 1) or (
            set(letters) == {gold}  # the same letter twice is one letter
        ), text


SAID = ["There are", "The total is", "It is", "The answer is", "a total of", "exactly", "about"]
CHANGED = ["at least", "not", "negative", "multiples of", "divisible by", "half of", "It is not"]


@given(st.integers(2, 9999), st.sampled_from(SAID), st.sampled_from(CHANGED), st.booleans())
@quick
def test_words_before_a_number_say_it_or_change_it(value, said, changed, whole) -> None:
    right, wrong = (
        boxed(rf"\text{{{words} {value} coins}}" if whole else rf"\text{{{words} }} {value}")
        for words in (said, changed)
    )
    found = outcomes(str(value), [right, wrong])
    assert found[right] == "correct" and found[wrong] != "correct", found


ENDS = st.integers(-40, 40)


@given(ENDS, st.integers(1, 30), st.sampled_from("[("), st.sampled_from("])"))
@quick
def test_an_interval_is_read_as_inequality_and_set(low, width, left, right) -> None:
    high = low + width
    below, above = ("<" if left == "(" else r"\le "), ("<" if right == ")" else r"\le ")
    gold = f"{left}{low},{high}{right}"
    french = ("]" if left == "(" else "[") + f"{low};{high}" + ("[" if right == ")" else "]")
    written = [
        f"{low} {below} x {above} {high}",
        rf"\{{x \in \mathbb{{R}} \mid {low} {below} x {above} {high}\}}",
        french,
        f"x \\in {gold}",
    ]
    found = outcomes(gold, [boxed(text) for text in written])
    assert set(found.values()) == {"correct"}, found
    swapped = ("[" if left == "(" else "(") + f"{low},{high}{right}"
    assert outcomes(gold, [boxed(swapped)])[boxed(swapped)] != "correct"
