"""What a user meets after two runs at once, a killed one, or one of another version."""

import subprocess
import sys
import time

from conftest import Project
from project_copy import ROOT, copy_of_the_project

from reasonmaxxer.graph.files import recorded_code

LOCKED = "Directory cannot be locked"
UNLOCK = "It can be removed with the --unlock argument"


def test_a_second_run_and_a_killed_one_are_told_how_to_unlock(tmp_path):
    """The lock is the folder's, so that another config in it waits as well."""
    project, folder = Project(copy_of_the_project(tmp_path)), tmp_path
    first = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "config/test.yaml"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not any((folder / ".snakemake/locks").glob("*.lock")):
            assert first.poll() is None
            time.sleep(0.1)
        said = project.snakemake("decontaminate", "--configfile", "config/test.yaml", check=False)
    finally:
        first.kill()
        first.wait()
    assert LOCKED in said
    assert UNLOCK in said
    assert "Traceback" not in said
    said = project.snakemake("decontaminate", "--configfile", "config/test.yaml", check=False)
    assert UNLOCK in said
    project.snakemake("--unlock", "--configfile", "config/test.yaml")
    project.snakemake("decontaminate", "--configfile", "config/test.yaml")
    assert (folder / "results/test/problems/audit.json").exists()


def test_a_kept_table_that_is_damaged_counts_as_none(tmp_path):
    """Else the line that makes it again could not even be planned."""
    table = tmp_path / "kept.parquet"
    table.write_bytes(b"PAR1")
    assert recorded_code(str(table), "now") == "now"


def test_the_readme_names_every_remedy():
    text = (ROOT / "README.md").read_text()
    for remedy in ("--unlock", "--force", "run the same command again"):
        assert remedy in text
