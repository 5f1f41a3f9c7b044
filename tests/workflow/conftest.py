"""Copies of the project to run Snakemake in, one with a real finished run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dry_runs import jobs_in

ROOT = Path(__file__).parents[2]
COPIED = ("Snakefile", "workflow", "config", "profiles", "data", "envs")


class Project:
    """A copy of the project, and Snakemake in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
            cwd=self.folder,
            env=environment,
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


def copy_of_the_project(folder: Path) -> Project:
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    return Project(folder)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project in which nothing has run."""
    return copy_of_the_project(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project with a finished run of config/test.yaml in it."""
    made = copy_of_the_project(tmp_path_factory.mktemp("project"))
    made.snakemake("--configfile", "config/test.yaml")
    return made
