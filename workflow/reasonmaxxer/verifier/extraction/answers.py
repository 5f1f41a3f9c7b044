"""Where in a completion is its answer? One set of rules for every model, arm and benchmark.

Linear in the text and bounded in size. In this order:

1. Thinking is dropped up to the last closing tag; an unclosed tag means no answer.
2. What follows the end of the answer (a chat marker, a new invented problem) is dropped.
3. The last explicit mark wins: a \\boxed{}, `#### x`, `<answer>x</answer>`, "final answer: x".
4. Without one: "the answer is x", a bold or formula-only last line, the concluding sentence,
   a short text that is nothing but an answer.
5. Only if asked for: the last number in the text.
"""

import re
from itertools import islice
from typing import NamedTuple

from ..choice import without_denials
from .marks import BOX, bare_between, boxes_in, explicit_marks
from .sentences import (
    JOINED,
    MARKERS,
    MATH,
    NUMBER,
    PROSE,
    SENTENCE_END,
    VERB,
    answer_is,
    is_formula,
    math_spans,
    picked,
    tidy,
)
from .transcript import PROBLEM, after_thinking, first_turn

MAX_CHARS = 100_000
MAX_HEADINGS = 5
SHORT = 240  # characters of a text that is read as a bare answer or one sentence


class Extraction(NamedTuple):
    """An answer, or None, and the rule that found it (or found that there is none)."""

    answer: str | None
    rule: str


def extract(
    completion: str,
    *,
    last_number: bool = False,
    max_chars: int = MAX_CHARS,
    thinking: bool = False,
) -> Extraction:
    """Find the answer of a completion.

    Of a text longer than `max_chars` only the end is read. `last_number` adds the last number in
    the text as the final resort. `thinking` says that the prompt ends inside thinking, which the
    completion has to close.
    """
    thought = after_thinking(completion, opened=thinking)
    if thought is None:
        return Extraction(None, "unclosed-think")
    text = first_turn(thought[-max_chars:])
    text = _until_new_problem(text)
    marks = explicit_marks(text)
    if marks:
        mark = max(marks, key=lambda m: m.end)
        return Extraction(mark.answer or None, mark.rule if mark.answer else "empty-box")
    if BOX.search(text):  # cut off inside its box
        return Extraction(None, "unclosed-box")
    for rule, find in _WEAK_RULES.items():
        answer = find(text)
        if answer:
            return Extraction(answer, rule)
    if last_number and (numbers := list(NUMBER.finditer(text))):
        return Extraction(numbers[-1]["number"], "last-number")
    return Extraction(None, "none")


def reference_answer(reference: str) -> str:
    """The answer in a reference: all of its boxes, what follows ####, or the whole text."""
    text = reference.replace("\\\\boxed", "\\boxed")
    boxes = boxes_in(text)
    if not boxes and "\\boxed{" in text:  # a box that is never closed
        return text.rpartition("\\boxed{")[2].strip()
    if boxes:
        group = [boxes[-1]]
        for box in reversed(boxes[:-1]):
            between = text[box.end : group[0].start]
            if len(between) > 12 and not JOINED.fullmatch(bare_between(between)):
                break
            group.insert(0, box)
        return ", ".join(dict.fromkeys(box.answer for box in group))
    if "####" in text:
        return text.rpartition("####")[2].strip()
    if len(text) > SHORT:
        return extract(text).answer or text
    return text.strip()


def _until_new_problem(text: str) -> str:
    """The text up to the first heading of a problem that follows an answer."""
    for heading in islice(PROBLEM.finditer(text), MAX_HEADINGS):
        head = text[: heading.start()]
        if explicit_marks(head) or answer_is(head):
            return head
    return text


# --- weak rules ---------------------------------------------------------------------------------

_BOLD = re.compile(r"\*\*([^*\n]{1,120})\*\*")
_QUALIFIED = re.compile(  # "odd $n$"; "$f(x)=ax$ for some $a>0$"
    r"(?:odd|even|all|any|prime|positive|negative|real|no)\s+\$[^$\n]+\$|"
    r"\$[^$\n]+\$,?\s+(?:for|where|with|if|when|such that)\b[^\n]*",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"(?<![A-Za-z\\])([A-H])(?=[).:,]|\s*$|\s+(?:is|or|and)\b)")
_CHOICE = re.compile(r"\s*(?:\*\*)?\(?([A-H])(?:\)|\.(?=\s|$)| (?=[A-Z][a-z]))")


def _bold(text: str) -> str | None:
    for match in reversed(list(_BOLD.finditer(text))[-3:]):
        content = match[1].strip()
        if content.endswith((":", "：")) or "：" in content or text[match.end() :][:1] == ":":
            continue
        if len(text) - match.end() < 200 and (answer := picked(content)):
            return answer
    return None


def _bare_answer(text: str) -> str | None:
    """A short text that is nothing but a formula, a quantity or a choice letter."""
    text = text.strip()
    if (
        not text
        or "\\boxed" in text
        or len(text) > SHORT * 4
        or (len(text) > SHORT and "\\begin" not in text)
    ):
        return None
    if match := _CHOICE.match(text):
        others = {
            letter
            for letter in _LETTERS.findall(without_denials(text)[match.end() :])
            if letter != match[1]
        }
        value = tidy(text[match.end() :])
        return match[1] if not others and not (value and is_formula(value)) else tidy(text)
    if _QUALIFIED.fullmatch(text):
        return tidy(text)
    if "\n" in text and "\\begin" not in text:
        return None
    spans = math_spans(text)
    if len(spans) == 1 and not PROSE.search(text[: spans[0].start] + text[spans[0].end :]):
        return tidy(text)
    if VERB.search(text):
        return None
    return tidy(text) if is_formula(text) or (len(text.split()) == 1 and text.isascii()) else None


def _last_line(text: str) -> str | None:
    line = text.rstrip().rpartition("\n")[2].strip()
    if len(line) > SHORT or "boxed" in line or not re.search(r"\d", line) or VERB.search(line):
        return None
    plain = tidy(line)
    return plain if plain and is_formula(plain) and "=" not in plain else None


def _conclusion(text: str) -> str | None:
    """The last sentence, if it concludes or is all there is."""
    text = re.sub(r"\s*I hope it is correct\.?\s*$", "", text).strip()
    if not text:
        return None
    tail = text[-600:]
    spans = [m.span() for m in MATH.finditer(tail)]
    starts = [0] + [
        end.end()
        for end in SENTENCE_END.finditer(tail)
        if end.end() < len(tail) - 1 and not any(a < end.start() < b for a, b in spans)
    ]
    for start in reversed(starts[-2:]):
        sentence = tail[start:].strip()
        markers = list(MARKERS.finditer(sentence))
        if markers:
            return picked(sentence[markers[-1].end() :]) or picked(sentence)
        if len(text) <= SHORT and (answer := picked(sentence, named=True)):
            return answer
    return None


_WEAK_RULES = {
    "bare": _bare_answer,
    "answer-is": answer_is,
    "bold": _bold,
    "last-line": _last_line,
    "conclusion": _conclusion,
}
