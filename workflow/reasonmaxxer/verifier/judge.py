"""The judge: was a completion right?

    python -m reasonmaxxer judge --input pairs.jsonl --output verdicts.jsonl [--workers N]

The quick comparison (equivalence.py) runs here and settles most pairs; the rest goes to isolated
workers (pool.py). Verdicts come in the order of the pairs, whatever the number of workers.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, cast

from ..config import VerdictsConfig
from ..method.verifiers import NAME as CUSTOM
from .equivalence import as_read, equivalent
from .extraction.answers import extract, reference_answer
from .extraction.transcript import after_thinking, first_turn
from .latex import canonical
from .leaves import quick_leaf
from .limits import beyond_limits
from .plain import COMPARISONS, answer_of
from .workers.pool import Pool, Task

MAX_ANSWER_CHARS = 2000
WINDOW = 4096  # pairs read ahead of the oldest one that is still open
CACHE_SIZE = 1 << 14

Outcome = Literal["correct", "incorrect", "unparseable", "timeout"]


class Verdict(NamedTuple):
    """What is said of one completion, and why."""

    verdict: Outcome
    answer: str | None
    rule: str
    reason: str


class _Open(NamedTuple):
    """A pair whose comparison is under way."""

    task: Task
    answer: str | None
    rule: str

    def verdict(self) -> Verdict:
        return Verdict(cast(Outcome, self.task.verdict), self.answer, self.rule, self.task.reason)


def judge_pairs(
    pairs: Iterable[tuple[str, str]],
    *,
    workers: int = 1,
    last_number: bool = False,
    options: VerdictsConfig | None = None,
    cache: bool = True,
    thinking: bool = False,
) -> Iterator[Verdict]:
    """Judge (reference, completion) pairs, in order, in bounded memory.

    Worker processes are started when the first pair needs one and are gone when the iterator ends
    or is closed. `cache` lets equal (reference, answer) pairs share one comparison. `thinking` says
    that the prompts end inside thinking: a completion that does not close it has no answer.
    """
    options = options or VerdictsConfig()
    open_pairs: deque[Verdict | _Open] = deque()
    known: OrderedDict[tuple[str, str], Task] = OrderedDict()
    with Pool(
        workers,
        timeout_seconds=options.timeout_seconds,
        retry_seconds=options.retry_seconds,
        memory_mb=options.memory_mb,
        verifier=options.verifier,
    ) as pool:
        for reference, completion in pairs:
            last = last_number or options.last_number
            item = _first_look(reference, completion, last, options, thinking)
            if isinstance(item, _Open):
                key = item.task.gold, item.task.answer
                if cache and key in known:
                    item = item._replace(task=known[key])
                else:
                    pool.submit(item.task)
                    known[key] = item.task
                    if len(known) > CACHE_SIZE:
                        known.popitem(last=False)
            open_pairs.append(item)
            pool.wait(0)
            while len(open_pairs) > WINDOW or pool.waiting > 64 * workers:
                if not _is_open(open_pairs[0]):
                    yield _closed(open_pairs.popleft())
                else:
                    pool.wait(0.05)
            while open_pairs and not _is_open(open_pairs[0]):
                yield _closed(open_pairs.popleft())
        while open_pairs:
            if _is_open(open_pairs[0]):
                pool.wait(0.05)
            else:
                yield _closed(open_pairs.popleft())


def _is_open(item: Verdict | _Open) -> bool:
    return isinstance(item, _Open) and item.task.verdict is None


def _closed(item: Verdict | _Open) -> Verdict:
    return item.verdict() if isinstance(item, _Open) else item


def _first_look(
    reference: str, completion: str, last_number: bool, options: VerdictsConfig, thinking: bool
) -> Verdict | _Open:
    """Extraction, limits and the quick comparison, or the whole of another verifier's."""
    if options.verifier != "math":
        return _other_look(reference, completion, last_number, options, thinking)
    answer, rule = extract(
        completion, last_number=last_number, max_chars=options.max_chars, thinking=thinking
    )
    if answer is None:
        return Verdict("unparseable", None, rule, "no answer found")
    gold = reference_answer(reference)
    if gold == answer:
        return Verdict("correct", answer, rule, "same text")
    if limit := beyond_limits(answer, MAX_ANSWER_CHARS):
        return Verdict("unparseable", answer[:MAX_ANSWER_CHARS], rule, f"beyond limits: {limit}")
    if limit := beyond_limits(gold, MAX_ANSWER_CHARS):
        known = canonical(as_read(gold)) == canonical(as_read(answer))
        return Verdict(
            "correct" if known else "incorrect", answer, rule, f"reference beyond limits: {limit}"
        )
    try:
        same = equivalent(gold, answer, quick_leaf)
    except (RecursionError, ArithmeticError, ValueError, LookupError):
        same = None  # no text of a model may stop a run: a worker says what is wrong with it
    if same is None:
        return _Open(Task(gold, answer), answer, rule)
    return Verdict("correct" if same else "incorrect", answer, rule, "compared")


def _other_look(
    reference: str, completion: str, last_number: bool, options: VerdictsConfig, thinking: bool
) -> Verdict | _Open:
    """What the verifiers `choice`, `exact` and `numeric` say, or a task for the user's own."""
    thought = after_thinking(completion, opened=thinking)
    if thought is None:
        return Verdict("unparseable", None, "unclosed-think", "no answer found")
    if CUSTOM.fullmatch(options.verifier):
        return _Open(Task(reference, completion[-options.max_chars :]), None, "python")
    text = first_turn(thought[-options.max_chars :])
    if options.verifier == "math-verify" and text.strip():
        if limit := beyond_limits(text[-MAX_ANSWER_CHARS:], MAX_ANSWER_CHARS):
            return Verdict("unparseable", None, "math-verify", f"beyond limits: {limit}")
        return _Open(Task(reference, text), None, "math-verify")
    answer, rule = answer_of(text, options.verifier, last_number)
    if answer is None:
        return Verdict("unparseable", None, rule, "no answer found")
    gold = reference if options.verifier == "exact" else reference_answer(reference)
    if limit := beyond_limits(answer, MAX_ANSWER_CHARS):
        return Verdict("unparseable", answer[:MAX_ANSWER_CHARS], rule, f"beyond limits: {limit}")
    same, reason = COMPARISONS[options.verifier](gold, answer)
    outcome: Outcome = "unparseable" if same is None else "correct" if same else "incorrect"
    return Verdict(outcome, answer, rule, reason)


def check_references(
    golds: Iterable[tuple[str, str]],
    *,
    workers: int = 1,
    options: VerdictsConfig | None = None,
) -> list[tuple[str, str, str]]:
    """References that do not verify against themselves: (id, reference, reason)."""
    pairs = list(golds)
    completions = ((gold, f"\\boxed{{{reference_answer(gold)}}}") for _, gold in pairs)
    verdicts = judge_pairs(completions, workers=workers, options=options)
    return [
        (name, gold, f"{verdict.verdict}: {verdict.reason}")
        for (name, gold), verdict in zip(pairs, verdicts, strict=True)
        if verdict.verdict != "correct"
    ]
