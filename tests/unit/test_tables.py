"""Tables: whole or not at all, and never mistaken for another."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from reasonmaxxer import tables
from reasonmaxxer.errors import UserError
from reasonmaxxer.tables import artefacts

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(tables.__file__).parents[2])}
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


def _part(folder: Path, name: str, pid: int) -> Path:
    """What a job of this machine is writing, or has left."""
    part = folder / f".{name}.{socket.gethostname()}.{pid}.part"
    part.write_bytes(b"half a table")
    return part


def test_what_a_killed_writer_left_is_gone_when_the_table_is_written_again(tmp_path):
    killed = subprocess.Popen(["true"])
    killed.wait()
    _part(tmp_path, "p.parquet", killed.pid)
    others = _part(tmp_path, "other.parquet", killed.pid)
    tables.write(tmp_path / "p.parquet", "problems", [ROW])
    assert {*tmp_path.iterdir()} == {tmp_path / "p.parquet", others}


def test_the_part_of_a_job_that_lives_is_kept(tmp_path):
    part = _part(tmp_path, "p.parquet", os.getppid())
    tables.write(tmp_path / "p.parquet", "problems", [ROW])
    assert part.exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells such a process")
def test_the_part_of_a_killed_job_whose_parent_has_not_asked_for_it_is_gone(tmp_path):
    killed = subprocess.Popen(["sleep", "60"])
    killed.kill()
    os.waitid(
        os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT
    )  # ended, and still in the process table
    part = _part(tmp_path, "p.parquet", killed.pid)
    tables.write(tmp_path / "p.parquet", "problems", [ROW])
    assert not part.exists()
    killed.wait()


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "p.txt"
    link.symlink_to("elsewhere/p.txt")
    tables.write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "elsewhere/p.txt").read_text() == "new"


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
    tables.write_text(pipe, "new")
    assert reader.communicate()[0] == "new"
    assert pipe.is_fifo()


def test_standard_output_is_written_to_even_where_it_is_a_file(tmp_path):
    script = "from reasonmaxxer.tables import write_text; write_text('/dev/stdout', 'new')"
    with (tmp_path / "out").open("w") as out:
        out.write("old ")
        out.flush()
        subprocess.run([sys.executable, "-c", script], stdout=out, check=True, env=ENVIRONMENT)
        out.write(" end")
    assert (tmp_path / "out").read_text() == "old new end"


@pytest.mark.parametrize("part", ["pages", "footer"])
def test_every_flipped_bit_is_found(tmp_path, part):
    path = tmp_path / "p.parquet"
    row = {"problem_id": "a", "sample": 0, "answer": "2", "rule": "boxed", "reason": "same text"}
    verdicts = [
        {**row, "sample": i, "verdict": "correct" if i % 3 else "incorrect"} for i in range(300)
    ]
    tables.write(path, "verdicts", verdicts, {"code": "0123456789abcdef"})
    whole, sound, made_by = path.read_bytes(), tables.read(path, "verdicts"), tables.recorded(path)
    footer = len(whole) - int.from_bytes(whole[-8:-4], "little") - 8
    bits = {"pages": range(8 * 4, 8 * footer, 5), "footer": range(8 * footer, 8 * len(whole), 7)}
    unseen = 0
    for bit in bits[part]:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        for read in (lambda: tables.read(path, "verdicts"), lambda: tables.recorded(path)):
            try:
                found = read()
            except UserError as error:
                assert f"--force {path}" in str(error)
                continue
            # Of a page only its reader knows; and without its name the checksum is none.
            assert found in (sound, made_by)
            unseen += part == "footer"
    assert unseen < 8 * len("sha256")


def test_every_flipped_bit_of_our_tensors_is_found(tmp_path):
    path = tmp_path / "adapter.safetensors"
    tensors = {"a.lora_A.weight": torch.arange(8.0).view(2, 4)}
    artefacts.save_tensors(path, tensors, {"format": "pt"})
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            file = artefacts.open_tensors(path, *tensors)
        except UserError as error:
            assert f"snakemake --cores all --force {path}" in str(error)
            continue
        # The key of the checksum itself, as if another program had written the file.
        assert "sha256" not in file.metadata()
        assert torch.equal(file.get_tensor("a.lora_A.weight"), tensors["a.lora_A.weight"])


def test_another_programs_tensors_are_copied_with_a_checksum(tmp_path):
    save_file({"a": torch.ones(3)}, tmp_path / "theirs", metadata={"format": "pt"})
    artefacts.copy_tensors(tmp_path / "theirs", tmp_path / "ours")
    file = artefacts.open_tensors(tmp_path / "ours", "a")
    assert file.metadata().keys() == {"format", "sha256"}
    assert torch.equal(file.get_tensor("a"), torch.ones(3))


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
