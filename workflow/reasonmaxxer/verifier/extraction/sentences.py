"""What one sentence names as the answer: a formula, a quantity, a letter, a word."""

import re
from typing import NamedTuple

from ..choice import without_denials
from ..words import no_answer


class Mark(NamedTuple):
    start: int
    end: int
    answer: str
    rule: str


JOINED = re.compile(
    r"[\s,;.&]*(?:\(?(?:for\s+)?part\s*\(?\w\)?\s*)?(?:,|;|&|\band\b|\bor\b)\s*(?:\(\w\))?\s*"
    r"(?:[A-Za-z]\w*(?:_\{?\w+\}?)?(?:\(\w\))?\s*=\s*)?[\s,]*"
)


_UNIT_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+)(?:[eE][+-]?\d+)?"
NUMBER = re.compile(
    rf"(?<![A-Za-z0-9_.])(?P<number>-?[$€£¥]?{_UNIT_NUMBER}(?:\s*/\s*\d+)?(?:\s*\\?%)?)"
)
_EXPRESSION = re.compile(
    rf"(?<![A-Za-z0-9_.\\])(?P<bare>[-+]?(?:\(\s*)?(?:sqrt\()?[$€£¥]?{_UNIT_NUMBER}"
    rf"(?:\s*(?:[-+*/^×÷=·]|\*\*)\s*\(?(?:sqrt\()?-?{_UNIT_NUMBER}\)?)*\)?"
    r"(?::\d+){0,2}(?:\s?(?:π|√\s?\d+))?"
    r"(?:\s*(?:\\?%|percent|pct))?)"
    r"|(?P<frac>-?\\frac\s*\{[^{}]*\}\s*\{[^{}]*\}(?:\s*\\?%)?)"
)
MATH = re.compile(
    r"\$\$(?P<a>[^$]+)\$\$|\\\[(?P<b>.+?)\\\]|\\\((?P<c>.+?)\\\)"
    r"|(?<!\\)\$(?P<d>(?:\\.|[^$\\\n])+)\$",
    re.DOTALL,
)
_LATIN = "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ"
PROSE = re.compile(
    rf"(?<![\\{_LATIN}{{])[{_LATIN}]{{3,}}|[\u0370-\u03ff]{{3,}}"
    r"|[\u0400-\u04ff\u0590-\u074f\u0900-\u0dff\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff"
    r"\u1100-\u11ff\uac00-\ud7af]"
)
_COPULA = re.compile(
    r"(?:\b(?:is|are|was|be|equals?|has|have|costs?|takes?|pays?|earns?|by|to|of|about|approximately|exactly|only|est|de|son|es|ist|lautet"
    r"|beträgt|vaut|vale|jest|adalah|là|är|er|je|este|on|è|é|è di|sind|sono|são)"
    r"|['’]s|[:=：是为為有共]|[은는이가は]|है|हैं|هو|هي|คือ)"
    r"\s*(?:equal to|about|approximately|exactly|now|then|:|\*\*|\()*\s*$"
)
_DENIED = re.compile(
    r"(?:\b(?:not|never|neither|nicht|niet|inte|ikke|pas|no|non|não|nie|не)|n['’]t|不是)(?:\s+(?:be|est|es|è|é))?"
    r"\s*\(?$"
)
_CIRCUMSTANCE = re.compile(
    r"(?:\b(?:after|within|during|dans|après|nach|innerhalb von|después de|dopo)|\bd['’]ici)\s*$",
    re.IGNORECASE,
)
VERB = re.compile(r"(?<![\\A-Za-z])(?:so|is|are|we|it)(?![A-Za-z])", re.IGNORECASE)
SENTENCE_END = re.compile(
    r"(?<!\.)[.!?。](?=\s|$|\*)|\n\s*\n|[。！？]|\n(?=\s*[-*#])| I hope it is correct"
)
_LETTER = re.compile(r"(?<![A-Za-z\\'’])\(?([A-J])\)?(?![A-Za-z'’])")
_STANDS_ALONE = re.compile(r"[.,:*]|$|\s*(?:or|and|&|/)(?![A-Za-z])")  # no article, no pronoun
_NO_ANSWERS = {"correct", "right", "wrong", "incorrect", "as follows", "below", "above", "unknown"}
MARKERS = re.compile(
    r"\b(?:therefore|thus|hence|so|answer|in conclusion|conclusion|consequently|finally|we find"
    r"|we get|donc|ainsi|en conclusion|réponse|daher|somit|por lo tanto|por tanto|entonces|así que"
    r"|quindi|portanto|logo|итак|ответ|следовательно|поэтому)\b"
    r"|因此|所以|答案|结论|总共|共有|故|इसलिए|لذا|إذن|したがって|よって|答え",
    re.IGNORECASE,
)


def sentence_from(text: str, start: int) -> str:
    """From `start` to the end of the sentence, at most 400 characters; formulas are not cut."""
    chunk = text[start : start + 400].lstrip(" \t")
    if chunk.startswith("\n"):
        chunk = chunk.lstrip()
    spans = [m.span() for m in MATH.finditer(chunk)]
    for end in SENTENCE_END.finditer(chunk):
        if end.start() and not any(a < end.start() < b for a, b in spans):
            chunk = chunk[: end.start()]
            break
    return re.split(r"\s(?:because|since)\s", chunk)[0]


def math_spans(sentence: str) -> list[Mark]:
    """Formulas in delimiters, joined where only and/or/comma stands between; money is none."""
    spans: list[Mark] = []
    position = 0
    while match := MATH.search(sentence, position):
        content = next(group for group in match.groups() if group is not None)
        prose = re.sub(r"\\[A-Za-z]+\s*(?:\{[A-Za-z .]*\})?", " ", content)
        if match["d"] and len(PROSE.findall(prose)) > 1 and content[:1] in " 0123456789?.,":
            position = match.start() + 1
            continue
        percent = re.match(r"\s*(?:\\?%|percent|pct)", sentence[match.end() : match.end() + 12])
        span = Mark(match.start(), match.end(), content.strip() + ("%" if percent else ""), "math")
        if spans and JOINED.fullmatch(sentence[spans[-1].end : span.start]):
            last = spans.pop()
            span = Mark(last.start, span.end, f"{last.answer}, {span.answer}", "math")
        spans.append(span)
        position = match.end()
    return spans


def picked(sentence: str, *, words: bool = False, named: bool = False) -> str | None:
    """The answer in one sentence: what follows its last "is" or "=", else its last quantity.

    With `words`, a sentence without formula or number is itself a short answer in words; with
    `named`, only what follows an "is" or "=" counts.
    """
    sentence = sentence.strip().strip('*_ "“”').strip()
    spans = _values(sentence)
    if len(sentence) < 60 and no_answer(sentence.strip(" ,.")):
        return sentence.strip(" ,.")
    if option := _option(sentence):
        return option
    if spans:
        plain = tidy(sentence)
        around = sentence[: spans[0].start] + sentence[spans[-1].end :]
        if plain and not PROSE.search(around) and is_formula(plain) and not VERB.search(plain):
            return plain
        stated = [s for s in spans if not _CIRCUMSTANCE.search(sentence[: s.start])]
        spans = stated or spans
        if all(_DENIED.search(sentence[: s.start]) for s in spans):
            return plain or None
        follow = [s for s in spans if s.start == 0 or _COPULA.search(sentence[: s.start])]
        if named and not follow:
            return None
        return tidy((follow or spans)[-1].answer)
    claimed = without_denials(sentence)
    letters = [
        m for m in _LETTER.finditer(claimed)
        if m[1] not in "AI" or m[0] != m[1] or _STANDS_ALONE.match(claimed, m.end())
    ]  # fmt: skip
    if letters and _DENIED.search(claimed[: letters[0].start()]):
        return tidy(sentence)
    if letters:  # several ones are several answers
        return ", ".join(dict.fromkeys(letter[1] for letter in letters))
    if words:
        plain = tidy(re.split(r"[,;:]", sentence)[0])
        if plain and len(plain.split()) <= 5 and plain.lower() not in _NO_ANSWERS:
            return plain
    return None


ANSWER_IS = re.compile(
    r"\b(?:[Aa]nswer|ANSWER)s?(?:\s+(?:to|for|of|in)\b[^.:\n]{0,80}?)?\s*(?:\*\*)?\s*"
    r"(?:is|are|:|=|\s[-–—](?=\s)|should be|must be|would be|will be|equals)\s*:?"
    r"|(?i:\b(?:antwort|antwoord|risposta|resposta|respuesta|réponse|svaret|svar|đáp án|đáp số"
    r"|kết quả|odpowiedź|odpověď|odpoveď|cevap|yanıt|ответ|відповідь|отговор|одговор"
    r"|jawaban(?:nya)?"
    r"|vastaus|válasz|răspunsul|răspuns|απάντηση|ergebnis|lösung|résultat|resultado|risultato|vastus"
    r"|atsakymas|atbilde|odgovor|sagot|jibu))(?:\s[^.:\n\d$\\]{0,40}?)?\s*(?:\*\*)?"
    r"(?:\s*[:=：]|(?:(?<=\s)|\s)(?:ist|lautet|beträgt|is|è|é|es|est|är|er|là|jest|to|je|este|on"
    r"|adalah|είναι|equals|blir|bliver|vaut|vale|bedraagt|yra|ir|ay|ni)(?=[\s:$*\\])"
    r"|\s+(?=[*$\\(]{0,4}-?\d))\s*:?"
    r"|(?:정답|답|答案|答え|答|الجواب|الإجابة|پاسخ|جواب|उत्तर|উত্তর|คำตอบ)"
    r"[^.:。\n\d$\\]{0,12}?\s*(?:\*\*)?\s*(?:은|는|이|[:：=]|为|為|是|は|هو|هي|برابر|है|হল|হলো|คือ|\s)\s*[:：]?"
)


def answer_is(text: str) -> str | None:
    """What the last sentence of the form "the answer is x" names."""
    for match in reversed(list(ANSWER_IS.finditer(text))[-4:]):
        if re.search(r"\s(?:no|non|não|n['’]est)\s|不是", match[0]):  # la respuesta no es 37
            continue
        if answer := picked(sentence_from(text, match.end()), words=True):
            return answer
    return None


_WORDS_BEFORE = re.compile(
    r"\b(?:(?:either|between|from|both)\s+)?"
    r"(?P<kept>(?:negative|minus|at\s+(?:least|most)|(?:no\s+|not\s+)?(?:less|fewer|more|greater|smaller"
    r"|larger)\s+than|up\s+to)\s+)?$",
    re.IGNORECASE,
)
_WORDS_AFTER = re.compile(
    r"\s*(?:dozens?|hundred|thousand|million|billion|trillion|squared|cubed|factorial)\b",
    re.IGNORECASE,
)


def _values(sentence: str) -> list[Mark]:
    """Formulas and numbers with the words that change them; what and/or/comma joins is a list.

    "Either 11 or 12" names no one number: training would find at once that it is rewarded.
    """
    spans = math_spans(sentence)
    for match in _EXPRESSION.finditer(sentence):
        if not any(a.start <= match.start() < a.end for a in spans):
            spans.append(Mark(match.start(), match.end(), match[0].strip(), "number"))
    values: list[Mark] = []
    for span in sorted(spans):
        before = _WORDS_BEFORE.search(sentence, max(0, span.start - 40), span.start)
        after = _WORDS_AFTER.match(sentence, span.end)
        start = before.start() if before else span.start
        end = after.end() if after else span.end
        answer = f"{(before and before['kept']) or ''}{span.answer}{after[0] if after else ''}"
        if values and JOINED.fullmatch(sentence[values[-1].end : start]):
            last = values.pop()
            start, answer = last.start, f"{last.answer}, {answer}"
        values.append(Mark(start, end, answer, span.rule))
    return values


_OPTION = re.compile(
    r"\b(?:[Oo]ption|[Cc]hoice)\s*(?:is\s*)?:?\s*\**\(?(?P<letter>[A-J])(?![A-Za-z'’])\)?[.:]?\**\s*"
    rf"(?P<value>\(?\s*(?:{MATH.pattern}|-?[$€£¥]?{_UNIT_NUMBER}))?",
    re.DOTALL,
)


def _option(sentence: str) -> str | None:
    """The option that a sentence names, with its value if that stands beside it."""
    sentence = without_denials(sentence)
    options = list(_OPTION.finditer(sentence))
    letters = list(dict.fromkeys(option["letter"] for option in options))
    others = {m[1] for m in _LETTER.finditer(sentence) if m[1] not in "AI"} - set(letters)
    if len(letters) != 1 or others:
        return ", ".join([*letters, *sorted(others)]) if letters else None
    value = tidy((options[-1]["value"] or "").strip("( "))
    return f"({letters[0]}) {value}" if value else letters[0]


def is_formula(text: str) -> bool:
    """Whether the text is a formula or quantity rather than prose."""
    bare = re.sub(r"\\text[a-z]*\s*\{[^{}]*\}|\\mbox\s*\{[^{}]*\}|\\[A-Za-z]+", " ", text)
    bare = re.sub(r"(?:sqrt|sin|cos|tan|log|exp|and|or|matrix|array)(?![a-z])", " ", bare)
    return not PROSE.search(bare)


def tidy(text: str) -> str:
    """Without sentence punctuation, emphasis and enclosing math delimiters."""
    text = text.strip().lstrip("# ").strip("*_`").strip(' "“”')
    text = re.split(r"\s+I hope it is", text)[0]
    while text and text[-1] in ".,;:!" and not text.endswith("!!") and not re.search(r"\d!$", text):
        text = text[:-1].rstrip()
    if match := MATH.fullmatch(text):
        text = next(group for group in match.groups() if group is not None).strip()
    return text
