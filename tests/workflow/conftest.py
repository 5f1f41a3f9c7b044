"""Copies of the project to run Snakemake in, one with a real finished run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dry_runs import jobs_in
from filelock import FileLock
from project_copy import ENVIRONMENT, copy_of_the_project

# Processes that test side by side share the two cores.
PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
CORES = str(max(2 // PROCESSES, 1))


class Project:
    """A copy of the project, and Snakemake in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""  # by the run that is in it

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", CORES, *arguments],
            cwd=self.folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
        )
        output = done.stdout + done.stderr
        assert not check or done.returncode == 0, output
        return output

    def would_run(self, change: dict | None = None, *arguments: str) -> dict[str, int]:
        """Jobs that a run would start after a change of the config: rule -> how many."""
        files = self.config_files(change)
        return jobs_in(self.snakemake("--dry-run", *arguments, "--configfile", *files))

    def config_files(self, change: dict | None = None) -> list[str]:
        """config/test.yaml with the change laid over it."""
        if not change:
            return ["config/test.yaml"]
        (self.folder / "change.yaml").write_text(yaml.safe_dump(change))
        return ["config/test.yaml", "change.yaml"]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project in which nothing has run."""
    return Project(copy_of_the_project(tmp_path_factory.mktemp("checkout")))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a finished run of config/test.yaml, made once for all processes.

    In a folder whose name has a space in it, as a user's may have.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if PROCESSES > 1 else own
    folder = shared / "the finished project"
    with FileLock(shared / "finished.lock"):
        if not folder.exists():
            made = Project(copy_of_the_project(shared / "the project"))
            printed = made.snakemake("--verbose", "--configfile", "config/test.yaml")
            (made.folder / "printed.txt").write_text(printed)
            made.folder.rename(folder)
    return folder


@pytest.fixture(scope="session")
def project(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the finished run, for the tests of one process."""
    folder = tmp_path_factory.mktemp("the project")
    # Not by shutil, which makes two files of the two names that a file of an earlier job has.
    subprocess.run(["cp", "-a", f"{finished}/.", folder], check=True)
    made = Project(folder)
    made.printed = (folder / "printed.txt").read_text()
    return made
