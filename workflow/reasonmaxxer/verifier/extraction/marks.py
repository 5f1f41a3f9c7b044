"""Explicit marks of an answer: boxes, ####, tags, JSON, "final answer"."""

import json
import re
from collections.abc import Iterator

from .sentences import JOINED, Mark, answer_is, is_formula, picked, sentence_from, tidy

BOX = re.compile(r"\\(?:f?boxed|fbox|framebox(?:\s*\[[^\]]{0,9}\]){0,2}|beginboxed)\s*\{")
_UNBRACED_BOX = re.compile(r"\\boxed\s*([-+]?[0-9A-Za-z][0-9A-Za-z.]*)")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BOX_OR_BRACE = re.compile(BOX.pattern + "|" + _BRACE.pattern, re.DOTALL)
_HASHES = re.compile(r"(?:^|\n)[ \t]*####[ \t]*(?P<answer>[^\n]{1,400})")
_FINAL = re.compile(
    r"(?:[Ff]inal|FINAL)\s+(?:[Aa]nswer|ANSWER|[Rr]esult)\s*(?:\*\*|__)?\s*"
    r"(?:is|are|:|=|[-–—](?=\s)|would be)\s*:?\s*(?:\*\*)?"
    r"|(?:^|\n)[ \t#>*_]*(?:[Aa]nswer|ANSWER)[ \t]*(?:\*\*)?[ \t]*(?:is)?[ \t]*:[ \t]*(?:\*\*)?"
)
_FINAL_WORD = re.compile(r"nswer|NSWER|esult")


_TAG = re.compile(
    r"(?:<(?P<name>(?:final_?)?answer|solution)>|\[(?P<bracket>(?:FINAL_)?ANSWER)\])"
    r"(?P<content>(?:(?!<(?:final_?)?answer>|<solution>|\[(?:FINAL_)?ANSWER\]).)*?)"
    r"(?(name)</(?P=name)>|\[/(?P=bracket)\])",
    re.IGNORECASE | re.DOTALL,
)
_JSON = re.compile(
    r"[\"'](?:final[ _]?)?answer[\"']\s*:\s*"
    r"(?P<content>\"(?:[^\"\\\n]|\\.){0,400}\"|'[^'\n]{0,400}'|\[[^\]\n]{0,400}\]|[^\s,}\"'\[][^,}\n]{0,200})",
    re.IGNORECASE,
)
_SIGNS = {"tag": ("nswer>", "NSWER", "olution>"), "json": ('nswer"', "nswer'")}
_PLACEHOLDER = re.compile(
    r"(?:\\text\s*\{)?\s*(?:(?:your|the|my)\s+)?(?:final\s+)?(?:answer|result|solution)(?:\s+here)?\s*\}?"
    r"|\\?\.{2,}|\\[lc]?dots|_+|\?+|…|\\(?:quad|cdot|[,;!: ])?|~|\s+",
    re.IGNORECASE,
)


def _unquoted(text: str) -> str:
    """A string of JSON; LaTeX whose backslashes were not doubled is taken as it stands."""
    if text[0] == "'" or re.search(r"(?<!\\)(?:\\\\)*\\[A-Za-z]{2}", text):
        return text[1:-1]
    try:
        return str(json.loads(text))
    except ValueError:
        return text[1:-1]


def _enclosed(content: str, rule: str) -> str:
    """The answer in a tag or a field of JSON: a box, a formula, or what its sentence names."""
    content = content.strip()
    if rule == "json" and content[:1] in "\"'":
        content = _unquoted(content)
    if rule == "json" and content[:1] == "[":
        content = content.strip("[]").replace('"', "")
    boxes = list(_box_groups(content))
    if boxes:
        return boxes[-1].answer
    plain = tidy(content)
    if is_formula(plain) or (len(plain.split()) <= 5 and not _SENTENCE.search(plain)):
        return plain
    return answer_is(content) or picked(content, words=True) or plain


_SENTENCE = re.compile(r"\b(?:is|are|was|equals?|answer|therefore|so)\b", re.IGNORECASE)


def bare_between(between: str) -> str:
    """Text between two boxes without what only sets the formulas."""
    between = re.sub(r"\\(?:text|mbox|textrm)\s*\{([^{}]*)\}", r"\1", between)
    return re.sub(r"\\[()\[\],;:! ]|\$|\\q?quad|\\\\|~|\n", " ", between)


def boxes_in(text: str) -> list[Mark]:
    """All balanced boxes, the outermost ones, in one pass."""
    found: list[Mark] = []
    position = 0
    while match := BOX.search(text, position):
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


def explicit_marks(text: str) -> list[Mark]:
    text = text.replace("\\\\boxed", " \\boxed")
    marks = list(_box_groups(text))
    if "####" in text:
        marks += [
            Mark(m.start(), m.end(), tidy(m["answer"]), "hashes") for m in _HASHES.finditer(text)
        ]
    for rule, pattern in (("tag", _TAG), ("json", _JSON)):
        if any(sign in text for sign in _SIGNS[rule]):
            marks += [
                Mark(m.start(), m.end(), _enclosed(m["content"] or "", rule), rule)
                for m in pattern.finditer(text)
            ]
    for match in _final_statements(text):
        answer = picked(sentence_from(text, match.end()), words=not marks)
        if answer and "boxed" not in answer:
            marks.append(Mark(match.start(), match.end() + 1, answer, "final-answer"))
    marks.sort(key=lambda m: m.end)
    said = [mark for mark in marks if mark.answer and not _PLACEHOLDER.fullmatch(mark.answer)]
    return said or marks


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
    for box in boxes_in(text):
        percent = re.match(
            r"\s*(?:\\?[)\]$]\s*)?(?:\\?%|percent|pct)", text[box.end : box.end + 20]
        )
        if percent and "%" not in box.answer and re.search(r"\d", box.answer):
            box = box._replace(answer=box.answer + "\\%")
        between = bare_between(text[group.end : box.start][:80]) if group else ""
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
