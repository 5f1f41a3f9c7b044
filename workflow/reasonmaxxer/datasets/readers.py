"""Files of problems: .jsonl, .csv and .parquet, the first two also compressed by gzip.

Each reader gives raw rows with the place each one stands at, so that an error can name it.
"""

import csv
import gzip
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, check_fetched

DELIMITERS = (",", ";", "\t")
COMPRESSED = ".gz"


@dataclass(frozen=True)
class Row:
    """A raw row and where it stands, such as `problems.jsonl: line 3`."""

    place: str
    values: Mapping[str, Any]


def read_file(path: str | Path, delimiter: str | None = None) -> list[Row]:
    """The rows of a .jsonl, .csv (.gz) or .parquet file.

    `delimiter` separates the columns of a CSV file; None: what its first line has.
    """
    file = Path(path)
    readers: dict[str, Callable[[], Iterator[Row]]] = {
        ".jsonl": lambda: _jsonl(path, _text(file)),
        ".csv": lambda: _csv(path, _text(file), delimiter),
        ".parquet": lambda: _parquet(file),
    }
    kind = suffix(file)
    if kind not in readers or (kind == ".parquet" and file.suffix == COMPRESSED):
        raise UserError(
            f"{path}: not a .jsonl, .csv or .parquet file (.jsonl.gz and .csv.gz are read too, and "
            "a .csv file may have commas, semicolons or tabs)"
        )
    if not file.is_file():
        raise UserError(f"{path}: no such file; a source's path is relative to the working folder")
    check_fetched(file)
    try:
        return list(readers[kind]())
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: not UTF-8; save the file as UTF-8") from error


def suffix(path: Path) -> str:
    """What kind of file it is, compressed or not."""
    return Path(path.stem if path.suffix == COMPRESSED else path.name).suffix


def stem(path: Path) -> str:
    """The file's name without what says its kind."""
    return path.name.removesuffix(COMPRESSED).removesuffix(suffix(path))


def _text(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == COMPRESSED:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: not a readable gzip file: {error}") from error
    return content.decode("utf-8-sig")


def _jsonl(path: str | Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}: line {number}"
        try:
            values = json.loads(line, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{place}: not valid JSON: {error.msg} (column {error.colno}); each line must be "
                "one whole object"
            ) from None
        except (ValueError, RecursionError) as error:  # a key twice, a number of 5,000 digits
            raise UserError(f"{place}: {str(error).split(';')[0]}") from None
        if not isinstance(values, dict):
            raise UserError(
                f"{place}: each line must be a JSON object of columns, found {line.strip()[:40]}"
            )
        yield Row(place, values)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if double := _double(name for name, _ in pairs):
        raise ValueError(f"column '{double}' occurs twice")
    return dict(pairs)


def _csv(path: str | Path, text: str, delimiter: str | None) -> Iterator[Row]:
    delimiter = delimiter or _delimiter(path, text)
    csv.field_size_limit(len(text) + 1)  # a long solution is no mistake
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        if double := _double(reader.fieldnames or []):
            raise UserError(f"{path}: line 1: column '{double}' occurs twice")
        for values in reader:
            place = f"{path}: line {reader.line_num}"
            if None in values or None in values.values():
                raise UserError(f"{place}: does not have as many fields as the header line")
            yield Row(place, values)
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: not valid CSV: {error}") from error


def _delimiter(path: str | Path, text: str) -> str:
    """A comma, unless there is but one column by it and more by a semicolon or a tab."""
    try:
        columns = {
            mark: len(next(csv.reader(io.StringIO(text, newline=""), delimiter=mark), []))
            for mark in DELIMITERS
        }
    except csv.Error:  # it is said of the file as a whole
        return DELIMITERS[0]
    if columns[DELIMITERS[0]] > 1:
        return DELIMITERS[0]
    found = max(DELIMITERS, key=lambda mark: columns[mark])
    if found != DELIMITERS[0]:
        name = {";": "semicolons", "\t": "tabs"}[found]
        print(f"note: {path}: its columns are separated by {name}", file=sys.stderr)
    return found


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        if double := _double(file.schema_arrow.names):
            raise UserError(f"{path}: column '{double}' occurs twice")
        rows = file.read().to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable Parquet file: {error}") from error
    for number, values in enumerate(rows):
        yield Row(f"{path}: row {number}", values)


def _double(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)
