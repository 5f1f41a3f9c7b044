"""Where in a completion is its answer? One set of rules for every model, arm and benchmark.

Linear in the text and bounded in size. In this order:

1. Thinking is dropped up to the last closing tag; an unclosed tag means no answer.
2. What follows the end of the answer (a chat marker, a new invented problem) is dropped.
3. The last explicit mark wins: a \\boxed{}, `#### x`, `<answer>x</answer>`, "final answer: x".
4. Without one: "the answer is x", a bold or formula-only last line, the concluding sentence,
   a short text that is nothing but an answer.
5. Only if asked for: the last number in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from .sentences import (
    JOINED,
    MARKERS,
    MATH,
    NUMBER,
    PROSE,
    SENTENCE_END,
    Mark,
    is_formula,
    math_spans,
    picked,
    sentence_from,
    tidy,
)

MAX_CHARS = 100_000
MAX_HEADINGS = 5
SHORT = 240  # characters of a text that is read as a bare answer or one sentence


class Extraction(NamedTuple):
    """An answer, or None, and the rule that found it (or found that there is none)."""

    answer: str | None
    rule: str


def extract(
    completion: str, *, last_number: bool = False, max_chars: int = MAX_CHARS
) -> Extraction:
    """Find the answer of a completion.

    Of a text longer than `max_chars` only the end is read. `last_number` adds the last number in
    the text as the final resort.
    """
    thought = _after_thinking(completion[-max_chars:])
    if thought is None:
        return Extraction(None, "unclosed-think")
    text = _first_turn(thought)
    text = _until_new_problem(text)
    marks = _explicit_marks(text)
    if marks:
        mark = max(marks, key=lambda m: m.end)
        return Extraction(mark.answer or None, mark.rule if mark.answer else "empty-box")
    if _BOX.search(text):  # cut off inside its box
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
    boxes = _boxes(text)
    if not boxes and "\\boxed{" in text:  # a box that is never closed
        return text.rpartition("\\boxed{")[2].strip()
    if boxes:
        group = [boxes[-1]]
        for box in reversed(boxes[:-1]):
            between = text[box.end : group[0].start]
            if len(between) > 12 and not JOINED.fullmatch(_bare(between)):
                break
            group.insert(0, box)
        return ", ".join(dict.fromkeys(box.answer for box in group))
    if "####" in text:
        return text.rpartition("####")[2].strip()
    if len(text) > SHORT:
        return extract(text).answer or text
    return text.strip()


# --- thinking, turns, run-on --------------------------------------------------------------------

_THINK = re.compile(r"<(?P<close>/?)(?:think|thinking|reasoning)>")
_TURN = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|end|end_of_text|start_header_id|eom_id)\|>|</s>"
    r"|<end_of_turn>|<start_of_turn>|(?:^|\n)[ \t]*(?:Human|User|Assistant|USER|ASSISTANT)\s*:"
)
_TURN_SIGNS = ("<|", "</s>", "_of_turn>", "Human", "User", "USER", "ssistant", "ASSISTANT")
_PROBLEM = re.compile(
    r"\n[ \t>]*(?:#+[ \t]*|\*\*[ \t]*|-{3,}\s+)?(?:(?:Next|New|Another|Related|Similar)[ \t]+)?"
    r"(?:Problem|Question|Exercise|Example|Task|Instruction|Q|Input)\b[ \t]*#?\d*[ \t]*"
    r"(?:\*\*)?[ \t]*[:.\n]",
)


def _after_thinking(text: str) -> str | None:
    """Text after the last closing think tag; None where a tag stays open."""
    last = None
    for last in _THINK.finditer(text):  # noqa: B007
        pass
    if last is None:
        return text
    return text[last.end() :] if last["close"] else None


def _first_turn(text: str) -> str:
    """The first turn that says anything, without chat markers."""
    if not any(sign in text for sign in _TURN_SIGNS):
        return text
    start = 0
    for match in _TURN.finditer(text):
        if text[start : match.start()].strip():
            return text[start : match.start()]
        start = match.end()
    return text[start:]


def _until_new_problem(text: str) -> str:
    """The text up to the first heading of a problem that follows an answer."""
    for heading in islice(_PROBLEM.finditer(text), MAX_HEADINGS):
        head = text[: heading.start()]
        if _explicit_marks(head) or _answer_is(head):
            return head
    return text


# --- explicit marks -----------------------------------------------------------------------------

_BOX = re.compile(r"\\(?:f?boxed|fbox|beginboxed)\s*\{")
_UNBRACED_BOX = re.compile(r"\\boxed\s*([-+]?[0-9A-Za-z][0-9A-Za-z.]*)")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BOX_OR_BRACE = re.compile(_BOX.pattern + "|" + _BRACE.pattern, re.DOTALL)
_HASHES = re.compile(r"(?:^|\n)[ \t]*####[ \t]*(?P<answer>[^\n]{1,400})")
_FINAL = re.compile(
    r"(?:[Ff]inal|FINAL)\s+(?:[Aa]nswer|ANSWER|[Rr]esult)\s*(?:\*\*|__)?\s*"
    r"(?:is|are|:|=|would be)\s*:?\s*(?:\*\*)?"
    r"|(?:^|\n)[ \t#>*_]*(?:[Aa]nswer|ANSWER)[ \t]*(?:\*\*)?[ \t]*(?:is)?[ \t]*:[ \t]*(?:\*\*)?"
)
_FINAL_WORD = re.compile(r"nswer|NSWER|esult")


def _bare(between: str) -> str:
    """Text between two boxes without what only sets the formulas."""
    between = re.sub(r"\\(?:text|mbox|textrm)\s*\{([^{}]*)\}", r"\1", between)
    return re.sub(r"\\[()\[\],;:! ]|\$|\\q?quad|\\\\|~|\n", " ", between)


def _boxes(text: str) -> list[Mark]:
    """All balanced boxes, the outermost ones, in one pass."""
    found: list[Mark] = []
    position = 0
    while match := _BOX.search(text, position):
        end = _closing(text, match.end())
        if end is None:  # never closed, but there may be closed ones inside
            return found + _boxes_in_open_braces(text, match.end())
        found.append(Mark(match.start(), end + 1, _unboxed(text[match.end() : end]), "boxed"))
        position = end + 1
    if not found and (unbraced := list(_UNBRACED_BOX.finditer(text))):
        last = unbraced[-1]
        found.append(Mark(last.start(), last.end(), last[1], "boxed"))
    return found


def _closing(text: str, position: int) -> int | None:
    """Index of the brace that closes the group whose content starts at `position`."""
    depth = 1
    for match in _BRACE.finditer(text, position):
        token = match[0]
        depth += (token == "{") - (token == "}")
        if not depth:
            return match.start()
    return None


def _boxes_in_open_braces(text: str, position: int) -> list[Mark]:
    """Balanced boxes behind a brace that never closes, by one pass with a stack."""
    found: list[Mark] = []
    stack: list[tuple[int, int] | None] = []  # (command, content) of a box; None for other braces
    for match in _BOX_OR_BRACE.finditer(text, position):
        token = match[0]
        if len(token) > 2:
            stack.append((match.start(), match.end()))
        elif token == "{":
            stack.append(None)
        elif token == "}" and stack and (box := stack.pop()):
            while found and found[-1].start > box[0]:  # a box in a box
                found.pop()
            content = text[box[1] : match.start()]
            found.append(Mark(box[0], match.end(), _unboxed(content), "boxed"))
    return found


def _unboxed(content: str) -> str:
    return re.sub(r"\\f?boxed\s*\{(.*)\}", r"\1", content, flags=re.DOTALL).strip()


def _explicit_marks(text: str) -> list[Mark]:
    text = text.replace("\\\\boxed", " \\boxed")
    marks = list(_box_groups(text))
    if "####" in text:
        marks += [
            Mark(m.start(), m.end(), tidy(m["answer"]), "hashes") for m in _HASHES.finditer(text)
        ]
    start, end = text.rfind("<answer>"), text.rfind("</answer>")
    if 0 <= start < end:
        marks.append(Mark(start, end + 9, reference_answer(text[start + 8 : end]), "tag"))
    for match in _final_statements(text):
        answer = picked(sentence_from(text, match.end()), words=not marks)
        if answer and "boxed" not in answer:
            marks.append(Mark(match.start(), match.end() + 1, answer, "final-answer"))
    return sorted(marks, key=lambda m: m.end)


def _final_statements(text: str) -> Iterator[re.Match[str]]:
    position = 0
    for word in _FINAL_WORD.finditer(text):
        start = max(position, word.start() - 30)
        if match := _FINAL.search(text, start, word.end() + 60):
            position = match.end()
            yield match


def _box_groups(text: str) -> Iterator[Mark]:
    """Boxes joined by and/or/comma alone are one answer; others stand for themselves."""
    group: Mark | None = None
    for box in _boxes(text):
        percent = re.match(
            r"\s*(?:\\?[)\]$]\s*)?(?:\\?%|percent|pct)", text[box.end : box.end + 20]
        )
        if percent and "%" not in box.answer and re.search(r"\d", box.answer):
            box = box._replace(answer=box.answer + "\\%")
        between = _bare(text[group.end : box.start][:80]) if group else ""
        if group and group.answer and (between == "" or JOINED.fullmatch(between)):
            answer = group.answer
            if box.answer != group.answer:
                answer += ", " + box.answer
            group = Mark(group.start, box.end, answer, "boxed-list")
        else:
            if group:
                yield group
            group = box
    if group:
        yield group


# --- weak rules ---------------------------------------------------------------------------------

_ANSWER_IS = re.compile(
    r"\b(?:[Aa]nswer|ANSWER)s?(?:\s+(?:to|for|of|in)\b[^.:\n]{0,80}?)?\s*(?:\*\*)?\s*"
    r"(?:is|are|:|=|should be|must be|would be|will be)\s*:?"
)
_BOLD = re.compile(r"\*\*([^*\n]{1,120})\*\*")
_QUALIFIED = re.compile(  # "odd $n$"; "$f(x)=ax$ for some $a>0$"
    r"(?:odd|even|all|any|prime|positive|negative|real|no)\s+\$[^$\n]+\$|"
    r"\$[^$\n]+\$,?\s+(?:for|where|with|if|when|such that)\b[^\n]*",
    re.IGNORECASE,
)
_CHOICE = re.compile(r"\s*(?:\*\*)?\(?([A-H])(?:\)|\.(?=\s|$)| (?=[A-Z][a-z]))")


def _answer_is(text: str) -> str | None:
    for match in reversed(list(_ANSWER_IS.finditer(text))[-4:]):
        if answer := picked(sentence_from(text, match.end()), words=True):
            return answer
    return None


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
        return match[1]
    if _QUALIFIED.fullmatch(text):
        return tidy(text)
    if "\n" in text and "\\begin" not in text:
        return None
    spans = math_spans(text)
    if len(spans) == 1 and not PROSE.search(text[: spans[0].start] + text[spans[0].end :]):
        return tidy(text)
    return tidy(text) if is_formula(text) or (len(text.split()) == 1 and text.isascii()) else None


def _last_line(text: str) -> str | None:
    line = text.rstrip().rpartition("\n")[2].strip()
    if len(line) > SHORT or "boxed" in line or not re.search(r"\d", line):
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
    "answer-is": _answer_is,
    "bold": _bold,
    "last-line": _last_line,
    "conclusion": _conclusion,
}
