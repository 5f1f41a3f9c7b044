"""Where the answer of a completion is found: a table of completions, answers and rules."""

import random
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonmaxxer.verifier.extraction.answers import extract, reference_answer

COMPLETIONS = [
    (r"We get \boxed{5}. Wait, no: \boxed{6}.", "6", "boxed"),
    (r"$\boxed{\frac{1}{2}}$", r"\frac{1}{2}", "boxed"),
    (r"So \boxed{\text{Evelyn}}", r"\text{Evelyn}", "boxed"),
    (r"The roots are $\boxed{2}$ and $\boxed{3}$.", "2, 3", "boxed-list"),
    (r"$\boxed{2}$, $\boxed{3}$, and $\boxed{5}$", "2, 3, 5", "boxed-list"),
    (r"\boxed{2} or \boxed{-2}", "2, -2", "boxed-list"),
    (r"\boxed{2}. Check: then \boxed{3}", "3", "boxed"),
    (r"\[\boxed{2}\] \[\boxed{3}\]", "3", "boxed"),
    ("First \\boxed{1}.\n\nFinal Answer: 7", "7", "final-answer"),
    (
        "First \\boxed{1}.\nThe final answer is $\\frac{2}{3}$. I hope it is correct.",
        r"\frac{2}{3}",
        "final-answer",
    ),
    ("She sells 9*2=18 dollars.\n#### 18", "18", "hashes"),
    (
        "9*2=18 dollars.\n#### 18\n\nQuestion: Tom has 4 apples. How many?\nAnswer: 4.\n#### 4",
        "18",
        "hashes",
    ),
    ("#### $1,234", "$1,234", "hashes"),
    (r"<think>maybe 3 \boxed{3}</think> So it is \boxed{4}", "4", "boxed"),
    (r"<think>maybe 3 \boxed{3}", None, "unclosed-think"),
    ("reasoning \\boxed{3}</think>\n\nThe answer is 4.", "4", "answer-is"),
    ("<think>a</think><answer>12</answer>", "12", "tag"),
    ("<think>a</think>\n<answer> \\boxed{12} </answer>", "12", "tag"),
    ("The answer is \\boxed{42}.\n\nHuman: What is 1+1?\n\nAssistant: \\boxed{2}", "42", "boxed"),
    ("The answer is 42.\n\nProblem: Find x.\nSolution: The answer is 7.", "42", "answer-is"),
    (
        "So the answer is \\boxed{3}.\n\n**Problem 2.** Compute 5+5.\n\nIt is \\boxed{10}",
        "3",
        "boxed",
    ),
    ("\\boxed{8}<|im_end|>\n<|im_start|>user\nnext \\boxed{9}", "8", "boxed"),
    ("The total cost is $18.00.", "$18.00", "conclusion"),
    ("The total is $18. The answer is $18.", "$18", "answer-is"),
    ("He pays $5 and $6, so he pays $11 in total.", "$11", "conclusion"),
    ("So the answer is **42**.", "42", "answer-is"),
    ("**Answer:** 42", "42", "final-answer"),
    ("**Final Answer:** $x = 5$", "x = 5", "final-answer"),
    ("**Final Answer**\n\n\\[ 12 \\]", "12", "last-line"),
    ("### Final Answer\n\n$$\\frac{3}{4}$$", r"\frac{3}{4}", "last-line"),
    ("Answer: B", "B", "final-answer"),
    ("The correct option is (C).", "C", "conclusion"),
    ("The answer is (C) 12.", "(C) 12", "answer-is"),
    ("Thus the answer is 1,234.", "1,234", "answer-is"),
    ("The answer is 3.14.", "3.14", "answer-is"),
    ("The answer is x = 5.", "x = 5", "answer-is"),
    ("I do not know.", None, "none"),
    ("", None, "none"),
    ("   ", None, "none"),
    (r"\boxed{}", None, "empty-box"),
    (r"\boxed{", None, "unclosed-box"),
    (r"\boxed{3", None, "unclosed-box"),
    ("42", "42", "bare"),
    (r"\frac{3}{4}", r"\frac{3}{4}", "bare"),
    ("x^2+1", "x^2+1", "bare"),
    ("Therefore, the sum of the numbers is 45.", "45", "conclusion"),
    (
        "Step 1: compute 3+4=7.\nStep 2: multiply by 2 to get 14.\nTherefore, the result is 14.",
        "14",
        "conclusion",
    ),
    ("The value of $f(3)$ is $9$.", "9", "conclusion"),
    ("Hence $n = 7$.", "n = 7", "conclusion"),
    ("Hence, we have $a=2$ and $b=3$, so $a+b=5$.", "a+b=5", "conclusion"),
    (r"\boxed{x=1} \text{ and } \boxed{x=2}", "x=1, x=2", "boxed-list"),
    (r"\boxed{12}\%", r"12\%", "boxed"),
    (r"$\boxed{12}$ percent", r"12\%", "boxed"),
    (r"The answer is $\boxed{12}$ cm.", "12", "boxed"),
    (r"\fbox{7}", "7", "boxed"),
    (r"\boxed 7", "7", "boxed"),
    (r"$\boxed{\{1,2\}}$", r"\{1,2\}", "boxed"),
    (r"The final answer is: $\boxed{5}$", "5", "boxed"),
    (r"The answer is \(\frac{1}{2}\).", r"\frac{1}{2}", "answer-is"),
    (r"So the answer is \[ \frac{1}{2} \]", r"\frac{1}{2}", "answer-is"),
    ("The probability is 1/6.", "1/6", "conclusion"),
    (r"Final answer: $5\text{ cm}$", r"5\text{ cm}", "final-answer"),
    ("The answer is: no solution", "no solution", "answer-is"),
    ("The answer is Evelyn.", "Evelyn", "answer-is"),
    (r"\boxed{7}. The answer is correct because it matches.", "7", "boxed"),
    ("\\boxed{7}\n\nSo the final answer is 7.", "7", "final-answer"),
    ("The final answer is 3 (not 4).", "3", "final-answer"),
    ("We have $x = 3$.\n\nAnswer: $3$", "3", "final-answer"),
    ("... = 18\n\nThe answer is 18\n\nQ: Next question?\nA: The answer is 20", "18", "answer-is"),
    ("```python\nprint(3)\n```\nThe output is 3.\nThe answer is 3.", "3", "answer-is"),
    ("The final answer is\n\n$$42$$", "42", "final-answer"),
    ("the answer is: \n\n42", "42", "answer-is"),
    (r"So the answer is $\sqrt{2}$", r"\sqrt{2}", "answer-is"),
    ("Ans: 24", "24", "conclusion"),
    ("ANSWER: 24", "24", "final-answer"),
    (
        r"Thus, $$x = \boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}.$$",
        r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}",
        "boxed",
    ),
    ("Question: what?\nAnswer: \\boxed{3}", "3", "boxed"),
]


@pytest.mark.parametrize(("completion", "answer", "rule"), COMPLETIONS)
def test_the_answer_and_its_rule(completion: str, answer: str | None, rule: str) -> None:
    assert extract(completion) == (answer, rule)


def test_the_last_number_counts_only_if_asked_for() -> None:
    text = (
        "First 3 apples were added. After that 4 of them went away.\nNobody knows why, with 12 left"
    )
    assert extract(text).answer is None
    assert extract(text, last_number=True) == ("12", "last-number")


def test_a_marked_answer_goes_before_the_last_number() -> None:
    assert extract(r"\boxed{5} apples, 7 pears", last_number=True).answer == "5"


def test_an_unclosed_think_tag_means_no_answer_even_with_a_box() -> None:
    assert extract(r"<think>It is \boxed{5}. Let me check", last_number=True) == (
        None,
        "unclosed-think",
    )


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        (r"Adding up gives $\boxed{7}$.", "7"),
        (r"\boxed{1} papers and \boxed{2} bins", "1, 2"),
        ("3 + 4 = 7\n#### 7", "7"),
        (r"\frac{1}{2}", r"\frac{1}{2}"),
    ],
)
def test_a_reference_may_be_a_worked_solution(reference: str, answer: str) -> None:
    assert reference_answer(reference) == answer


@given(st.text(alphabet=string.printable + "\\{}$*#", max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_an_answer_of_its_own_or_none(text: str) -> None:
    answer, rule = extract(text)
    assert rule
    assert answer is None or answer.strip()


@given(st.integers(-(10**9), 10**9))
@settings(max_examples=50, deadline=None)
def test_a_box_is_found_behind_any_working(value: int) -> None:
    assert extract(f"We add 3 and 4, which is 7. So $x = \\boxed{{{value}}}$.").answer == str(value)


@pytest.mark.parametrize(
    "unit", ["\\boxed{", "{", "$", "**a", "Final answer: ", "<think></think>", "1+", "\nProblem: "]
)
def test_time_is_linear_in_the_text(unit: str) -> None:
    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        start = time.process_time()
        extract(text, last_number=True)
        return time.process_time() - start

    seconds(1000)
    short = min(seconds(20_000) for _ in range(2))
    assert min(seconds(80_000) for _ in range(2)) < 16 * short + 0.1


def test_a_text_of_any_length_is_read_from_its_end() -> None:
    rng = random.Random(0)
    noise = "".join(rng.choices("abc {}\n", k=2_000_000))
    start = time.process_time()
    assert extract(noise + r" so \boxed{31}").answer == "31"
    assert time.process_time() - start < 1
