"""Stage problems: every source becomes one table of the same columns."""

import argparse
import ast
import contextlib
import hashlib
import json
import math
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import tables
from ..config import Source, VerdictsConfig
from ..datasets import sources
from ..datasets.overlap import listed
from ..datasets.readers import Row, read_file, stem
from ..datasets.sources import REGISTER, RegisterEntry
from ..errors import UserError
from ..tables.provenance import provenance

NOT_IN_KEY = {
    "judge": "it screens references; a better one must make nobody sample again what was paid for"
}

HELP = "read the problems of a split from their sources into one table"

LETTERS = "ABCDEFGHIJ"  # those that the verifier `choice` knows
BOX = re.compile(r"\\boxed\s*\{")
# A list of texts, or of one number (two may be an interval), as JSON or Python writes it.
_TEXT = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_NUMBER = r"[-+]?\d+(?:\.\d+)?"
LIST = re.compile(rf"\[\s*(?:({_TEXT})(?:\s*,\s*{_TEXT})*|({_NUMBER}))\s*,?\s*\]")
# What only means to be one, such as numpy's ['5' '6'].
LIST_START = re.compile(r"""[\[({][\s\[({]*['"]""")
UNBRACED_BOX = re.compile(r"\\boxed\s+([^\s$.,;{}]+)")


def load_problems(
    given: Sequence[Source], split: str, register: str | Path = REGISTER
) -> list[dict[str, Any]]:
    """The problems of `given`, in order: rows of the table `problems`.

    A problem's id is `<source>/<id>`; a source used twice gets a number behind its name. Raises
    `UserError` naming file, row and column for anything missing, empty, double or malformed.
    """
    found: list[dict[str, Any]] = []
    used: dict[str, int] = defaultdict(int)
    for source in given:
        name = source_name(source)
        used[name] += 1
        label = name if used[name] == 1 else f"{name}-{used[name]}"
        found += _take(source, _read(source, split, label, register), label)
    return found


def source_name(source: Source) -> str:
    """The source's short name: what its problems' ids begin with."""
    if source.register_:
        return source.register_
    if source.path:
        return stem(Path(source.path))
    if source.hub:
        return source.hub.dataset.rpartition("/")[2].lower()
    return "lab"


def checksum(rows: Sequence[dict[str, Any]]) -> str:
    """SHA-256 of the problems and references; order of rows and kinds of blanks do not count."""
    lines = sorted(" ".join(f"{row['problem']} = {row['answer']}".split()) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check_references(
    rows: list[dict[str, Any]], config: VerdictsConfig
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The rows whose reference verifies against itself, and the reason by id for the others.

    With `bad_references: fail` a bad one raises `UserError` listing up to five of them.
    """
    from ..verifier import judge

    references = [(row["problem_id"], row["answer"]) for row in rows]
    bad = {name: why for name, _, why in judge.check_references(references, options=config)}
    if bad and config.bad_references == "fail":
        lines = [
            f"{r['problem_id']}: {r['answer']!r}: {bad[r['problem_id']]}"
            for r in rows
            if r["problem_id"] in bad
        ]
        raise UserError(
            f"problems: {len(bad)} references do not verify against themselves:\n{listed(lines)}\n"
            "set verdicts.bad_references: drop to leave them out, or correct them"
        )
    if len(bad) == len(rows):
        raise UserError(
            "problems: no reference verifies against itself; "
            "does `extract` say how the column marks its answer?"
        )
    return [row for row in rows if row["problem_id"] not in bad], bad


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sources", required=True, help="the sources, a JSON list")
    parser.add_argument(
        "--split",
        required=True,
        help="the split that they are for: train, validation or a benchmark",
    )
    parser.add_argument("--verdicts", default="{}", help="config section verdicts, JSON")
    parser.add_argument("--register", default=str(REGISTER), help="register of datasets")
    parser.add_argument("--out", required=True, help="table `problems` to write")


def main(args: argparse.Namespace) -> None:
    given = [Source.from_json(json.dumps(item)) for item in json.loads(args.sources)]
    verdicts = VerdictsConfig.from_json(args.verdicts)
    loaded = load_problems(given, args.split, args.register)
    rows, bad = check_references(loaded, verdicts)
    config = {
        "sources": [source.model_dump(mode="json", by_alias=True) for source in given],
        "split": args.split,
        "verdicts": verdicts.model_dump(mode="json"),
    }
    record = provenance("problems", config, [source.path for source in given if source.path])
    tables.write(args.out, "problems", rows, {**record, "bad_references": bad})
    print(f"{args.split}: {len(rows)} problems, sha256 {checksum(loaded)}")
    for problem_id, reason in bad.items():
        print(f"left out: {problem_id}: its reference does not verify against itself: {reason}")


def _read(source: Source, split: str, label: str, register: str | Path) -> list[dict[str, Any]]:
    if source.lab is not None:
        return _lab(source, split, label)
    entry = sources.entry_of(source.register_, register) if source.register_ else None
    if source.path:
        rows = read_file(source.path, source.delimiter)
    else:
        hub = source.hub or (entry.hub if entry else None)
        assert hub is not None, "Source has exactly one kind"
        rows = sources.read_hub(hub)
    problems = _Columns(source, entry).problems(rows, label)
    if entry:
        _check_entry(entry, problems, label, source.path)
    return problems


def _lab(source: Source, split: str, label: str) -> list[dict[str, Any]]:
    from ..lab import generator as lab

    assert source.lab is not None
    if source.limit is None:
        raise UserError(f"problems: {split}: a lab source needs `limit`, the number of problems")
    made = lab.generate(split.removesuffix("-pool"), source.limit, source.lab.seed, source.lab)
    rows = [Row(f"lab: problem {i}", problem) for i, problem in enumerate(made)]
    return _Columns(source, None).problems(rows, label)


class _Columns:
    """Which columns of a source hold what: the source's own choice, the register's, a default."""

    def __init__(self, source: Source, entry: RegisterEntry | None) -> None:
        self.problem = source.problem or (entry.problem if entry else "problem")
        self.answer = source.answer or (entry.answer if entry else "answer")
        self.id = source.id or (entry.id if entry else None)
        self.level = source.level or (entry.level if entry else None)
        self.choices = source.choices or (entry.choices if entry else None)
        self.extract = source.extract or (entry.extract if entry else "plain")
        given = source.filter
        self.filter = given if given is not None else (entry.filter if entry else {})

    def problems(self, rows: list[Row], label: str) -> list[dict[str, Any]]:
        found = []
        places: dict[str, str] = {}
        numbered = self.id is None and not (rows and "id" in rows[0].values)
        for number, row in enumerate(rows):
            level = self.level or ("level" if "level" in row.values else None)
            if not all(_same(_cell(row, column), value) for column, value in self.filter.items()):
                continue
            key = str(number) if numbered else _text(row, self.id or "id")
            key = key.removeprefix(f"{label}/")
            if key in places:
                raise UserError(f"{row.place}: duplicate id '{key}' (first seen at {places[key]})")
            places[key] = row.place
            found.append(
                {
                    "problem_id": f"{label}/{key}",
                    **self._question(row),
                    "source": label,
                    "level": level_name(_cell(row, level) if level else None),
                }
            )
        if not found:
            raise UserError(
                f"{label}: contains no problem" + (" that fits `filter`" * bool(self.filter))
            )
        return found

    def _question(self, row: Row) -> dict[str, str]:
        """Problem and reference; where there are choices, they stand below the problem."""
        problem, answer = _text(row, self.problem), self._reference(row)
        if self.choices is None:
            return {"problem": problem, "answer": answer}
        labels, texts = _choices(row, self.choices)
        letters = LETTERS[: len(texts)]
        for known in (labels, letters, texts):
            if answer in known:
                lines = [f"{letter}. {text}" for letter, text in zip(letters, texts, strict=True)]
                return {
                    "problem": "\n".join([problem, *lines]),
                    "answer": letters[known.index(answer)],
                }
        raise UserError(
            f"{row.place}: column '{self.answer}': {answer} is none of the choices: "
            f"{', '.join(labels)}"
        )

    def _reference(self, row: Row) -> str:
        if self.extract == "first":
            return _first(row, self.answer)
        text = _text(row, self.answer)
        if self.extract == "plain" and is_list(text):
            raise UserError(
                f"{row.place}: column '{self.answer}': contains a list, {text[:40]}; "
                "use extract: first"
            )
        if self.extract == "hashes":
            text = text.rpartition("####")[2] if "####" in text else ""
        elif self.extract == "boxed":
            text = last_boxed(text) or ""
        if not text.strip():
            mark = {"hashes": "####", "boxed": "\\boxed{}"}[self.extract]
            raise UserError(f"{row.place}: column '{self.answer}': no answer marked by {mark}")
        return text.strip()


def is_list(text: str) -> bool:
    """Whether a reference is written as a list; an interval is none."""
    return bool(LIST.fullmatch(text.strip())) or text.lstrip().startswith(("['", '["'))


def level_name(value: Any) -> str | None:
    """`5`, `5.0` and `Level 5` are one level."""
    text = "" if value is None else str(value).strip()
    return re.sub(r"(?i)^level\s+|\.0$", "", text) or None


def last_boxed(text: str) -> str | None:
    """What stands in the text's last \\boxed{}, braces balanced; None without a whole one.

    Two rows of MATH have no braces: `\\boxed 2$`. Not the verifier's rules, which may change
    without anybody's problems changing.
    """
    boxes = list(BOX.finditer(text))
    if not boxes:
        bare = UNBRACED_BOX.findall(text)
        return bare[-1] if bare else None
    begin, depth = boxes[-1].end(), 1
    for end in range(begin, len(text)):
        escaped = text[end - 1] == "\\"
        depth += 0 if escaped else {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[begin:end]
    return None


def _cell(row: Row, column: str) -> Any:
    """A row's value: None for NaN, which pandas writes for an empty cell; bytes as their text."""
    if column not in row.values:
        raise UserError(
            f"{row.place}: no column '{column}'; {sources.suggest(column, list(row.values))}"
        )
    value = row.values[column]
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(
                f"{row.place}: column '{column}': bytes that are not valid UTF-8"
            ) from None
    return value


def _same(cell: Any, value: str | bool | int) -> bool:
    return str(cell).casefold() == str(value).casefold()  # a CSV file holds text only


def _text(row: Row, column: str) -> str:
    value = _cell(row, column)
    if isinstance(value, bool | list | dict):
        hint = "; use extract: first" if isinstance(value, list) else ""
        kind = type(value).__name__
        raise UserError(f"{row.place}: column '{column}': text is expected, found {kind}{hint}")
    text = "" if value is None else str(value).strip()
    if not text:
        raise UserError(f"{row.place}: column '{column}' is empty")
    if re.search(r"[\ud800-\udfff]", text):
        raise UserError(
            f"{row.place}: column '{column}': an incomplete character (a lone surrogate): "
            "the text was cut inside an emoji; correct the text"
        )
    return text


def _choices(row: Row, column: str) -> tuple[list[str], list[str]]:
    """Labels and texts of a row's choices: of {label: [...], text: [...]}, or of a list of texts.

    Where there is but a list, references count from 0.
    """
    value = _cell(row, column)
    named = value if isinstance(value, dict) else {"text": value}
    texts = named.get("text")
    if not isinstance(texts, list) or not 2 <= len(texts) <= len(LETTERS):
        raise UserError(
            f"{row.place}: column '{column}': 2 to {len(LETTERS)} choices are expected, a list of "
            f"texts or {{label: [...], text: [...]}}, found {str(value)[:40]}"
        )
    labels = named.get("label") or range(len(texts))
    if len(labels) != len(texts):
        raise UserError(f"{row.place}: column '{column}': label and text are not equally long")
    cells = (Row(row.place, {column: text}) for text in texts)
    return [str(label) for label in labels], [_text(cell, column) for cell in cells]


def _first(row: Row, column: str) -> str:
    """The first of a list, which in a file of texts may be written out."""
    value = _cell(row, column)
    if isinstance(value, str):
        try:
            value = _written(value.strip())
        except (SyntaxError, ValueError):
            raise UserError(
                f"{row.place}: column '{column}': not a JSON list: {value[:40]}; "
                'write it as ["5", "6"]'
            ) from None
    if isinstance(value, list):
        if not value:
            raise UserError(f"{row.place}: column '{column}': an empty list")
        value = value[0]
    return _text(Row(row.place, {column: value}), column)


def _written(text: str) -> Any:
    """The list that a text writes in JSON or Python, at least its first; else the text.

    Raises `SyntaxError` or `ValueError` where it only means to be one.
    """
    if text.startswith('["') or text == "[]":
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(text)
    if found := LIST.fullmatch(text):
        return [found[2] or ast.literal_eval(found[1])]  # one string in quotes
    if LIST_START.match(text):
        raise ValueError(text)
    return text


def _check_entry(
    entry: RegisterEntry, rows: list[dict[str, Any]], label: str, path: str | None
) -> None:
    """Raise `UserError` for another dataset than the register's; a copy in `path` may be a part."""
    expected = [entry.rows] if isinstance(entry.rows, int) else entry.rows
    if expected and len(rows) not in expected:
        counts = " or ".join(map(str, expected))
        text = f"{path or label}: {len(rows)} problems, the register expects {counts}"
        if path is None:
            raise UserError(text)
        print(f"note: {text}", file=sys.stderr)
    if path is None and entry.sha256 is not None and checksum(rows) != entry.sha256:
        raise UserError(
            f"{label}: sha256 {checksum(rows)}, the register expects {entry.sha256}: "
            "the dataset is not the one that was pinned"
        )


def _take(source: Source, rows: list[dict[str, Any]], label: str) -> list[dict[str, Any]]:
    """Shuffle, levels, skip and limit, in this order."""
    if source.shuffle is not None:
        rows = sorted(rows, key=lambda row: _draw(source.shuffle, row["problem_id"]))
    if source.levels is not None:
        return _balance(source, rows, label)
    left = rows[source.skip :]
    if len(left) < (source.limit or 1):
        behind = f" behind the {source.skip} of skip" if source.skip else ""
        raise UserError(
            f"{label}: limit {source.limit}, but it has only {len(left)} problems{behind}"
        )
    return left[: source.limit]


def _balance(source: Source, rows: list[dict[str, Any]], label: str) -> list[dict[str, Any]]:
    levels = [level_name(level) for level in source.levels or []]
    pools = {level: [row for row in rows if row["level"] == level] for level in levels}
    if source.limit is None:
        return [row for row in rows if row["level"] in pools]
    base, more = divmod(source.limit, len(levels))
    keep: set[str] = set()
    for index, level in enumerate(levels):
        wanted = base + (index < more)
        if len(pools[level]) < wanted:
            there = sorted({str(row["level"]) for row in rows})
            raise UserError(
                f"{label}: levels: {wanted} problems of level '{level}' are asked for, "
                f"there are {len(pools[level])} (levels found: {', '.join(there)})"
            )
        keep |= {row["problem_id"] for row in pools[level][:wanted]}
    return [row for row in rows if row["problem_id"] in keep]


def _draw(seed: int | None, problem_id: str) -> bytes:
    return hashlib.sha256(f"{seed}/{problem_id}".encode()).digest()
