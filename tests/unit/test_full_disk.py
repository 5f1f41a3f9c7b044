"""A full disk ends every writer in the usual line, and leaves no half file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reasonmaxxer import __main__ as command_line

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(command_line.__file__).parents[1])}
BIG = "{'a': torch.randn(1 << 19)}"
WRITERS = {
    "table": "tables.write('full/t', 'verdicts', {n: c for n, c in COLUMNS.items()})",
    "text": "tables.write_text('full/t', 'x' * (1 << 21))",
    "tensors": f"artefacts.save_tensors('full/t', {BIG}, {{}})",
    "copied tensors": f"save_file({BIG}, 's'); artefacts.copy_tensors(Path('s'), Path('full/t'))",
    "states": "fill(Path('full/t'))",
}
SCRIPT = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from reasonmaxxer import tables
from reasonmaxxer.__main__ import full_disk
from reasonmaxxer.modeling.hidden_states import writing_states
from reasonmaxxer.tables import artefacts

TEXTS = [str(hash(str(i))) for i in range(200_000)]
COLUMNS = {name: TEXTS for name in ("problem_id", "verdict", "answer", "rule", "reason")}
COLUMNS["sample"] = [*range(200_000)]

def fill(path):
    with writing_states(path, torch.float32, 1024, [("p", 0, 512)]) as states:
        states += 1

try:
    WRITE
except Exception as error:
    assert full_disk(error), repr(error)
    print("full", [path.name for path in Path("full").iterdir()])
"""


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_known_for_what_it_is_and_nothing_half_is_left(tmp_path, writer):
    (tmp_path / "full").mkdir()
    (tmp_path / "script.py").write_text(SCRIPT.replace("WRITE", WRITERS[writer]))
    said = subprocess.run(
        [
            *("unshare", "--map-root-user", "--mount", "sh", "-c"),
            f"mount -t tmpfs -o size=1M none full && exec {sys.executable} script.py",
        ],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert (said.stdout, said.returncode) == ("full []\n", 0), said.stderr


def test_a_command_says_what_to_do_about_a_full_disk(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(["schema", "--schema", "/dev/full", "--keys", str(tmp_path / "r")])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("reasonmaxxer schema: error: ")
    assert said.endswith("free some space and run the same command again\n")
    assert Path("/dev/full").is_char_device()
