"""Copies of the project to run Snakemake in, one with a real finished run."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dry_runs import jobs_in
from project_copy import ENVIRONMENT, copy_of_the_project


class Project:
    """A copy of the project, and Snakemake in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""  # by the run that is in it

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
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
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project with a finished run of config/test.yaml in it.

    In a folder whose name has a space in it, as a user's may have.
    """
    made = Project(copy_of_the_project(tmp_path_factory.mktemp("the project")))
    made.printed = made.snakemake("--verbose", "--configfile", "config/test.yaml")
    return made
