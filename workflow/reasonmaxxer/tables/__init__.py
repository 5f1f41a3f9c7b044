"""The tables of a run: one Parquet schema each, checked on every write and on every read.

A file appears when it is complete (see `writing.py`), so a stage that is killed leaves no half
table behind. What made it stands in its metadata (see `provenance.py`), in the footer. Every page
and the footer have a checksum: a flipped bit is found when they are read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import UserError
from .artefacts import CHECKSUM, NO_CHECKSUM, remedy
from .writing import replacing, write_text

NOT_IN_KEY = {
    "*": "how rows are stored, which is checked on every read: a new table changes no old one"
}

PROVENANCE_KEY = b"reasonmaxxer"
# The checksum in a footer, as Parquet writes an entry of its metadata: lengths before texts.
SEAL = re.compile(rb"\x06%s\x18@(.{64})" % CHECKSUM.encode(), re.DOTALL)
ROW_GROUP_BYTES = 32 << 20
ROWS_A_WRITE = 1024


def _all(kind: pa.DataType, *names: str) -> list[tuple[str, pa.DataType]]:
    """Columns of one type."""
    return [(name, kind) for name in names]


_IDS = pa.list_(pa.int32())
_FLOATS = pa.list_(pa.float32())
_SAMPLE = [("problem_id", pa.string()), ("sample", pa.int32())]
_COMPLETION = [
    *_SAMPLE,
    ("seed", pa.int64()),
    ("prompt_token_ids", _IDS),
    ("token_ids", _IDS),  # as sampled, the end-of-sequence id included
    ("logprobs", _FLOATS),  # the engine's, at temperature 1, of token_ids; empty in an evaluation
    ("finish_reason", pa.string()),  # stop, length
    ("text", pa.string()),  # token_ids decoded, special tokens left out
]
_VERDICT = [
    ("verdict", pa.string()),  # correct, incorrect, unparseable, timeout
    *_all(pa.string(), "answer", "rule", "reason"),
]

_DECODED = [
    *_all(pa.string(), "intervention", "problem_id"),
    *_all(_IDS, "prompt_token_ids", "token_ids"),
    ("finish_reason", pa.string()),  # stop, length
    ("text", pa.string()),
    ("touched", _IDS),  # positions whose token the intervention decided
    ("changed", _IDS),  # those where it was not the base's own
]
_ALTERNATIVE = [
    *_SAMPLE,
    ("position", pa.int32()),
    ("entropy", pa.float32()),  # of the base, in nats
    ("gated", pa.bool_()),  # above the threshold
    ("weight", pa.float64()),  # positions that this one stands for
    ("rank", pa.int32()),  # of the alternative under the base, 1-based
    ("token_id", pa.int32()),
    ("logprob", pa.float32()),  # under the base
]


_COLUMNS: dict[str, list[tuple[str, pa.DataType]]] = {
    "problems": _all(pa.string(), "problem_id", "problem", "answer", "source", "level"),
    "rollouts": _COMPLETION,
    "verdicts": [*_SAMPLE, *_VERDICT],
    # One row a completion position; entropies and log-probs in nats, at temperature 1.
    "entropies": [
        *_SAMPLE,
        ("position", pa.int32()),  # 0-based in the completion
        ("token_id", pa.int32()),
        *_all(pa.float32(), "entropy", "logprob"),
        ("top_ids", _IDS),  # the k likeliest, best first
        ("top_logprobs", _FLOATS),
    ],
    # One row a training sequence, in the order of training.
    "selection": [
        *_SAMPLE,
        *_all(_IDS, "prompt_token_ids", "token_ids"),
        *_all(pa.float32(), "reward", "pass_rate", "advantage"),
        ("positions", _IDS),  # the decision set, 0-based in the completion, ascending
        ("advantages", _FLOATS),  # of each of them: the credit of the sampled token
        ("selected_entropy", pa.float32()),  # summed over positions, nats
    ],
    "training": [
        ("step", pa.int32()),  # 1-based optimiser step
        ("epoch", pa.float32()),
        ("sequences", pa.int32()),
        ("tokens", pa.int64()),
        *_all(pa.float32(), "loss", "decision_loss", "anchor_loss"),
        ("positive_change", pa.float32()),  # mean log-prob change against the base, A > 0
        ("negative_change", pa.float32()),  # the same, A < 0
        *_all(pa.float32(), "gradient_norm", "learning_rate"),
        *_all(pa.float32(), "tokens_per_second", "peak_memory_mb"),
    ],
    # One row an optimiser step of GRPO. A step trains on all tokens of its rollouts, prompts
    # included; `seconds` and `flops` hold sampling and training, not loading and saving.
    "grpo": [
        ("step", pa.int32()),
        ("reward", pa.float32()),  # mean over the step's rollouts
        ("reward_std", pa.float32()),  # mean over problems of the spread within
        ("same_reward", pa.float32()),  # share of problems without any spread
        ("length", pa.float32()),  # mean tokens of a completion
        ("truncated", pa.float32()),  # share cut off by the token limit
        ("entropy", pa.float32()),
        ("kl", pa.float32()),  # from the base, where beta asks for it
        *_all(pa.float32(), "loss", "gradient_norm", "learning_rate"),
        *_all(pa.int64(), "generated_tokens", "trained_tokens"),
        ("seconds", pa.float32()),
        ("flops", pa.float64()),
    ],
    # `second` is the verdict of plain math-verify, null where it was not asked.
    "evaluation": [*_COMPLETION, *_VERDICT, ("second", pa.string())],
    # The validation problems under each checkpoint; checkpoint 0 is the base itself.
    "validation": [("checkpoint", pa.int32()), *_COMPLETION, *_VERDICT],
    # Completions of base and main arm as both models see them; one row a position.
    "side_by_side": [
        ("benchmark", pa.string()),
        ("arm", pa.string()),  # whose completion it is
        ("problem_id", pa.string()),
        ("position", pa.int32()),
        ("token_id", pa.int32()),
        ("entropy", pa.float32()),  # of the base, as are the log-probs and ids that follow
        ("logprob", pa.float32()),
        ("top_ids", _IDS),
        ("top_logprobs", _FLOATS),
        *_all(pa.float32(), "trained_entropy", "trained_logprob"),
        ("trained_top_logprobs", _FLOATS),  # of the base's top_ids
    ],
    # One row a position of a text, under the base and a teacher (Eq. 3).
    "footprint": [
        *_SAMPLE,
        ("position", pa.int32()),  # 0-based in the completion
        ("token_id", pa.int32()),  # what stands there
        ("entropy", pa.float32()),  # of the base, in nats
        ("base_token", pa.int32()),  # the base's likeliest
        ("teacher_token", pa.int32()),  # the teacher's likeliest
        ("rank", pa.int32()),  # of the teacher's under the base: 1 is the base's own
    ],
    # One row a (intervention, problem): greedy text of the base with some tokens put in.
    "decoded": _DECODED,
    "interventions": [*_DECODED, *_VERDICT],
    # One row a continuation behind one of a position's likeliest tokens.
    "continuations": [
        *_ALTERNATIVE,
        ("continuation", pa.int32()),
        *_all(pa.string(), "finish_reason", "text"),
    ],
    # One row a (position, alternative).
    "pivotality": [*_ALTERNATIVE, ("continuations", pa.int32()), ("correct", pa.int32())],
    "metrics": [
        *_all(pa.string(), "arm", "benchmark", "metric"),
        *_all(pa.float64(), "value", "low", "high"),
        *_all(pa.int32(), "problems", "samples"),
        ("seed", pa.int64()),
    ],
    "differences": [
        *_all(pa.string(), "arm", "base", "benchmark", "metric"),
        *_all(pa.float64(), "value", "low", "high", "p"),
        ("family", pa.string()),
        ("comparisons", pa.int32()),
        ("p_corrected", pa.float64()),
        ("statement", pa.string()),
    ],
}
SCHEMAS = {name: pa.schema(columns) for name, columns in _COLUMNS.items()}


class TableWriter:
    """Appends rows to a table; rows become visible only when the writer closes without error."""

    def __init__(self, path: Path, schema: pa.Schema, partial: Path) -> None:
        self._path, self._schema, self._partial = path, schema, partial
        self._file = pq.ParquetWriter(
            partial, schema, compression="zstd", write_statistics=True, write_page_checksum=True
        )
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0

    def write(self, rows: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]) -> None:
        """Append a list of dicts or a dict of columns; `UserError` for a value of another type."""
        try:
            if isinstance(rows, Mapping):
                columns = [pa.array(rows[field.name], field.type) for field in self._schema]
                batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
            else:
                batch = pa.RecordBatch.from_pylist(list(rows), schema=self._schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError, KeyError, OverflowError) as error:
            raise UserError(f"{self._path}: a row does not fit the table: {error}") from error
        if not batch.num_rows:
            return
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        if self._pending_bytes >= ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._pending:
            self._file.write_table(pa.Table.from_batches(self._pending, self._schema))
            self._pending, self._pending_bytes = [], 0

    def close(self) -> None:
        self.flush()
        self._file.add_key_value_metadata({CHECKSUM: NO_CHECKSUM})
        self._file.close()
        _seal(self._partial)


def _footer(path: str | os.PathLike[str]) -> tuple[int, bytes]:
    """Where a Parquet file's footer begins, and its bytes, the length and mark at the end aside."""
    with Path(path).open("rb") as file:
        end = file.seek(-8, os.SEEK_END)
        start = file.seek(end - int.from_bytes(file.read(4), "little"))
        return start, file.read(end - start)


def _seal(path: Path) -> None:
    """Put the footer's checksum, of itself with zeros there, into the place kept for it."""
    start, footer = _footer(path)
    with path.open("rb+") as file:
        file.seek(start + SEAL.search(footer).start(1))  # type: ignore[union-attr]
        file.write(hashlib.sha256(footer).hexdigest().encode())


def _check_footer(path: str | os.PathLike[str]) -> None:
    """Raise `ArrowInvalid` where the footer is not what its checksum says, if it has one.

    It is looked for in the bytes: a damaged footer must not be parsed.
    """
    _, footer = _footer(path)
    if seal := SEAL.search(footer):
        blank = footer[: seal.start(1)] + NO_CHECKSUM.encode() + footer[seal.end(1) :]
        if hashlib.sha256(blank).hexdigest().encode() != seal[1]:
            raise pa.ArrowInvalid("its footer is not what its checksum says")


@contextlib.contextmanager
def open_writer(
    path: str | os.PathLike[str], name: str, provenance: Mapping[str, Any] | None = None
) -> Iterator[TableWriter]:
    """Write table `name` to `path`, streaming; the file appears when the block ends well."""
    metadata = {"table": name, **(provenance or {})}
    schema = SCHEMAS[name].with_metadata({PROVENANCE_KEY: json.dumps(metadata, sort_keys=True)})
    with replacing(path) as partial:
        writer = TableWriter(Path(path), schema, partial)
        try:
            yield writer
        finally:
            writer.close()


def write(
    path: str | os.PathLike[str],
    name: str,
    rows: Iterable[Mapping[str, Any]] | Mapping[str, Sequence[Any]],
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a table: its columns at once, or rows as they come."""
    with open_writer(path, name, provenance) as writer:
        if isinstance(rows, Mapping):
            writer.write(rows)
            return
        coming = iter(rows)
        while batch := list(islice(coming, ROWS_A_WRITE)):
            writer.write(batch)


def read(path: str | os.PathLike[str], name: str, columns: list[str] | None = None) -> pa.Table:
    """The whole table. Raises `UserError` when the file is not an intact table of this kind."""
    with _open(path, name) as file:
        table = _guarded(path, name, lambda: file.read(columns=columns))
        return table.replace_schema_metadata(file.schema_arrow.metadata)  # without the checksum


def iter_batches(
    path: str | os.PathLike[str],
    name: str,
    columns: list[str] | None = None,
    samples: int | None = None,
) -> Iterator[pa.Table]:
    """The table's row groups, one after the other, so that memory does not grow with the file.

    With `samples`, only the first so many of each problem: a file may hold more than are asked for.
    """
    with _open(path, name) as file:
        for group in range(file.num_row_groups):
            table = _guarded(path, name, lambda g=group: file.read_row_group(g, columns=columns))
            if (first := _first(table, samples)).num_rows:
                yield first


def _first(table: pa.Table, samples: int | None) -> pa.Table:
    return table if samples is None else table.filter(pc.field("sample") < samples)


def rows(
    path: str | os.PathLike[str],
    name: str,
    columns: list[str] | None = None,
    samples: int | None = None,
) -> Iterator[dict[str, Any]]:
    """The table's rows as dicts, streamed."""
    for table in iter_batches(path, name, columns, samples):
        yield from table.to_pylist()


def read_all(
    paths: Iterable[str | os.PathLike[str]],
    name: str,
    columns: list[str] | None = None,
    samples: int | None = None,
) -> pa.Table:
    """Several files of one table (a stage's shards) as one."""
    return _first(pa.concat_tables([read(path, name, columns) for path in paths]), samples)


def provenance_of(path: str | os.PathLike[str], name: str) -> dict[str, Any]:
    """What the writer recorded: table, stage, config section, code hash, versions, inputs."""
    with _open(path, name) as file:
        return json.loads(file.schema_arrow.metadata[PROVENANCE_KEY])


def recorded(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The same of a table of any kind, its rows unchecked; empty if there is none."""
    _guarded(path, "any", lambda: _check_footer(path))
    metadata = _guarded(path, "any", lambda: pq.read_schema(path)).metadata or {}
    return json.loads(metadata.get(PROVENANCE_KEY, "{}"))


def num_rows(path: str | os.PathLike[str], name: str) -> int:
    with _open(path, name) as file:
        return file.metadata.num_rows


def _open(path: str | os.PathLike[str], name: str) -> pq.ParquetFile:
    _guarded(path, name, lambda: _check_footer(path))
    file = _guarded(path, name, lambda: pq.ParquetFile(path, page_checksum_verification=True))
    metadata = (file.schema_arrow.metadata or {}).get(PROVENANCE_KEY)
    found = json.loads(metadata)["table"] if metadata else None
    if found != name:
        what = f"holds the table '{found}'" if found else "was not written by this workflow"
        raise UserError(f"{path}: {what}, but '{name}' is expected here; {remedy(path)}")
    for field in SCHEMAS[name]:
        index = file.schema_arrow.get_field_index(field.name)
        if index < 0:
            raise UserError(f"{path}: column '{field.name}' is missing; {remedy(path)}")
        kind = file.schema_arrow.field(index).type
        if kind != field.type:
            raise UserError(
                f"{path}: column '{field.name}' is {kind}, expected {field.type}; {remedy(path)}"
            )
    return file


def _guarded(path: str | os.PathLike[str], name: str, action: Any) -> Any:
    try:
        return action()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file (table '{name}'); {remedy(path)}") from error
    except (pa.ArrowException, ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: not a readable Parquet file ({reason}); {remedy(path)}"
        ) from error
