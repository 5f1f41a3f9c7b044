"""A copy of the project for a test to run Snakemake in, without what runs have made."""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("Snakefile", "workflow", "config", "profiles", "data", "envs")
# The configs that are the project's: a user's own are not tracked (see .gitignore).
CONFIGS = sorted(
    path for path in (ROOT / "config").glob("*.yaml") if not path.name.startswith("local")
)
# This Python's commands come first.
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def copy_of_the_project(folder: Path) -> Path:
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "local*.yaml")
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy2(source, target)
    return folder
