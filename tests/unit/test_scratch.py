"""Folders of unfinished work: one process at a time, and none that waits for itself."""

import shutil
import subprocess
import sys
from pathlib import Path

from reasonmaxxer.tables.scratch import work_folder

WORKFLOW = Path(__file__).parents[2] / "workflow"
WORK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from reasonmaxxer.tables.scratch import work_folder
folder = work_folder(Path(sys.argv[2]), "the same work")
print(folder.is_dir(), flush=True)
sys.stdin.read()
"""


def worker(scratch: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORK, str(WORKFLOW), str(scratch)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_second_process_waits_until_the_first_has_ended(tmp_path: Path) -> None:
    first = worker(tmp_path)
    assert first.stdout is not None
    assert first.stdout.readline() == "True\n"
    (folder,) = tmp_path.iterdir()
    second = worker(tmp_path)
    assert second.stderr is not None
    assert second.stdout is not None
    assert second.stderr.readline() == f"{folder}: waiting for another process that works here\n"
    shutil.rmtree(folder)  # as a stage does that has finished
    first.kill()
    assert second.stdout.readline() == "True\n"
    second.communicate("")
    assert [first.wait(), second.wait()] == [-9, 0]


def test_other_work_has_a_folder_of_its_own_and_the_same_process_does_not_wait(
    tmp_path: Path,
) -> None:
    one = work_folder(tmp_path, "one")
    assert work_folder(tmp_path, "one") == one
    assert work_folder(tmp_path, "two") != one
    shutil.rmtree(one)
    assert work_folder(tmp_path, "one") == one
    assert one.is_dir()
