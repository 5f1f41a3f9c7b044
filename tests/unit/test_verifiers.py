"""Verifiers of other answers than mathematics, and a user's own."""

import json
import os
from pathlib import Path

import pytest
from judge_processes import workers_of

from reasonmaxxer.config import VerdictsConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.verifier.judge import judge_pairs

CHOICE = [
    ("B", r"So \boxed{B}.", "correct"),
    ("B", "The answer is (B) 12.", "correct"),
    ("B", "The answer is B or C.", "incorrect"),
    ("B", r"\boxed{A, B, C, D}", "incorrect"),
    ("(B)", "Therefore option B is right.", "correct"),
    ("A, C", r"\boxed{C, A}", "correct"),
    ("A, C", r"\boxed{A, B, C}", "incorrect"),
    ("B", r"\boxed{12}", "unparseable"),
    ("B", "I do not know.", "unparseable"),
    ("B", r"<think>\boxed{B}", "unparseable"),
]
EXACT = [
    ("Paris", "Paris", "correct"),
    ("Paris", "The answer is **Paris**.", "correct"),
    ("Paris", "<answer>paris</answer>", "correct"),
    ("The quick  brown fox", "the quick brown fox.", "correct"),
    ("naïve", "<think>x</think>naïve", "correct"),
    ("ﬁne", "fine", "correct"),
    ("Paris", "Paris, France", "incorrect"),
    ("1/2", "0.5", "incorrect"),
    ("Paris", "", "unparseable"),
]
NUMERIC = [
    ("12", "We end up with 12 apples left", "correct"),
    ("0.5", r"\boxed{\frac12}", "correct"),
    ("5 km", r"\boxed{5000\text{ m}}", "correct"),
    ("1200", r"\boxed{1,200}", "correct"),
    ("2", r"\boxed{\sqrt{4}}", "correct"),
    ("12", "The answer is 13.", "incorrect"),
    ("5 km", r"\boxed{5\text{ m}}", "incorrect"),
    ("12", r"\boxed{\text{a dog}}", "unparseable"),
]


def test_plain_math_verify_can_be_the_judge() -> None:
    pairs = [
        ("4", r"\boxed{2+2}"),
        ("4", r"\boxed{5}"),
        ("4", "no idea"),
        ("4", r"<think>\boxed{4}"),
    ]
    judged = judge_pairs(pairs, options=VerdictsConfig(verifier="math-verify"))
    assert [v.verdict for v in judged] == ["correct", "incorrect", "unparseable", "unparseable"]


@pytest.mark.parametrize(
    ("verifier", "rows"), [("choice", CHOICE), ("exact", EXACT), ("numeric", NUMERIC)]
)
def test_a_verifier_of_another_kind_of_answer(verifier: str, rows: list) -> None:
    options = VerdictsConfig(verifier=verifier)
    judged = judge_pairs([row[:2] for row in rows], options=options)
    assert [v.verdict for v in judged] == [row[2] for row in rows]
    assert workers_of(os.getpid()) == []


OWN = """
import re

def contains(completion, answer):
    return answer.lower() in completion.lower()

def share(completion, answer):
    words = answer.split()
    return sum(word in completion for word in words) / len(words)

def reward(completions, answer, **columns):
    return [1.0 if re.search(rf"<b>{a}</b>", c) else 0.0 for c, a in zip(completions, answer)]

def trl_none(completions, **kwargs):
    return [None for _ in completions]

def fails(completion, answer):
    raise KeyError(completion)

def endless(completion, answer):
    while True:
        pass

def writes(completion, answer):
    with open("/tmp/mark_of_a_verifier", "w") as file:
        file.write("x" * 100)
    return True
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def judged_by(own: Path, function: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    options = VerdictsConfig(
        verifier=f"python:{own}:{function}", timeout_seconds=0.3, retry_seconds=0.4
    )
    return [(v.verdict, v.reason) for v in judge_pairs(pairs, options=options)]


def test_a_function_of_completion_and_answer(own: Path) -> None:
    pairs = [("blue", "The sky is Blue."), ("blue", "It is red."), ("blue", "<think>blue")]
    verdicts = [verdict for verdict, _ in judged_by(own, "contains", pairs)]
    assert verdicts == ["correct", "incorrect", "unparseable"]


def test_half_of_a_value_is_correct(own: Path) -> None:
    pairs = [("a b", "a"), ("a b c", "a"), ("a b", "a b")]
    assert judged_by(own, "share", pairs) == [
        ("correct", "value 0.5"),
        ("incorrect", "value 0.333333"),
        ("correct", "value 1"),
    ]


def test_a_reward_function_as_trl_takes_it(own: Path) -> None:
    pairs = [("7", "It is <b>7</b>."), ("7", "It is <b>8</b>.")]
    assert [v for v, _ in judged_by(own, "reward", pairs)] == ["correct", "incorrect"]
    assert judged_by(own, "trl_none", pairs[:1]) == [("unparseable", "the verifier gave None")]


def test_what_a_function_does_wrong_is_its_verdict_and_stops_nothing(own: Path) -> None:
    assert judged_by(own, "fails", [("7", "x")]) == [
        ("unparseable", "the verifier failed: KeyError: 'x'")
    ]
    assert judged_by(own, "endless", [("7", "x")]) == [("timeout", "time limit")]
    ((verdict, reason),) = judged_by(own, "writes", [("7", "x")])
    assert verdict == "unparseable" and "OSError" in reason
    assert workers_of(os.getpid()) == []


def test_a_verifier_that_cannot_be_had_is_named(own: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"verifier: .*mine.py: has no function other"):
        judged_by(own, "other", [("7", "7")])
    (tmp_path / "broken.py").write_text("import no_such_module_at_all")
    with pytest.raises(UserError, match=r"broken.py: cannot be imported: ModuleNotFoundError"):
        judged_by(tmp_path / "broken.py", "f", [("7", "7")])
    for verifier, message in (
        ("python:nowhere.py:f", "nowhere.py: no such file"),
        ("python:nowhere", "is given as python:path/to/my.py:function"),
        ("fuzzy", "no verifier of this name; give math, choice, exact, numeric"),
    ):
        with pytest.raises(UserError, match=f"verifier: .*{message}"):
            VerdictsConfig.from_json(json.dumps({"verifier": verifier}))


def test_an_edit_of_the_file_changes_the_section_and_so_judges_again(own: Path) -> None:
    before = VerdictsConfig(verifier=f"python:{own}:contains").as_json()
    assert VerdictsConfig.from_json(before).as_json() == before
    own.write_text(OWN + "\n# another rule\n")
    assert VerdictsConfig(verifier=f"python:{own}:contains").as_json() != before
