"""Tables: whole or not at all, and never mistaken for another."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reasonmaxxer import tables
from reasonmaxxer.errors import UserError

ROW = {"problem_id": "a", "problem": "1+1?", "answer": "2", "source": "s", "level": None}


def test_rows_come_back_as_written(tmp_path):
    path = tmp_path / "p.parquet"
    tables.write(path, "problems", [ROW], {"stage": "problems"})
    assert list(tables.rows(path, "problems")) == [ROW]
    assert tables.provenance_of(path, "problems")["stage"] == "problems"


def test_equal_content_gives_equal_bytes(tmp_path):
    for name in ("a", "b"):
        tables.write(tmp_path / name, "problems", [ROW] * 100, {"seed": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    path = tmp_path / "p.parquet"
    with pytest.raises(RuntimeError), tables.open_writer(path, "problems") as writer:
        writer.write([ROW])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_gone_when_the_table_is_written_again(tmp_path):
    (tmp_path / ".p.parquet.123.part").write_bytes(b"half a table")
    (tmp_path / ".other.parquet.123.part").write_bytes(b"another's")
    tables.write(tmp_path / "p.parquet", "problems", [ROW])
    assert {path.name for path in tmp_path.iterdir()} == {"p.parquet", ".other.parquet.123.part"}


def test_a_writer_that_fails_leaves_the_old_table(tmp_path):
    path = tmp_path / "p.parquet"
    tables.write(path, "problems", [ROW])
    with pytest.raises(UserError, match="does not fit"):
        tables.write(path, "problems", [{**ROW, "answer": 2}])
    assert list(tables.rows(path, "problems")) == [ROW]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), path)


def _other_table(path: Path) -> None:
    tables.write(path, "verdicts", {name: [] for name in tables.SCHEMAS["verdicts"].names})


def _other_type(path: Path) -> None:
    table = tables.read(path, "problems")
    changed = table.set_column(2, "answer", pa.array([2]))
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)


def _no_column(path: Path) -> None:
    table = tables.read(path, "problems")
    pq.write_table(table.drop_columns(["answer"]), path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "not a readable Parquet file"),
        (_empty, "not a readable Parquet file"),
        (Path.unlink, "no such file"),
        (_foreign, "was not written by this workflow"),
        (_other_table, "holds the table 'verdicts', but 'problems' is expected"),
        (_other_type, "column 'answer' is int64, expected string"),
        (_no_column, "column 'answer' is missing"),
    ],
)
def test_a_damaged_table_is_named_with_the_remedy(tmp_path, damage, message):
    path = tmp_path / "p.parquet"
    tables.write(path, "problems", [ROW])
    damage(path)
    with pytest.raises(UserError) as caught:
        tables.read(path, "problems")
    assert message in str(caught.value)
    assert f"snakemake --cores all --force {path}" in str(caught.value)


def test_row_groups_are_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", 1000)
    path = tmp_path / "p.parquet"
    with tables.open_writer(path, "problems") as writer:
        for _ in range(50):
            writer.write([ROW] * 10)
    groups = list(tables.iter_batches(path, "problems", ["answer"]))
    assert len(groups) > 5
    assert sum(group.num_rows for group in groups) == tables.num_rows(path, "problems") == 500
