"""envs/Dockerfile without a container engine: its steps, in a fresh root of the same Debian.

Needs root, mmdebstrap (install.sh), a package index, 4 GB of disk, and some minutes.
"""

import ast
import re
import shlex
import shutil
import string
import subprocess
import sys
from pathlib import Path

from project_copy import ROOT

RECIPE = (ROOT / "envs/Dockerfile").read_text()


def steps() -> list[tuple[str, str]]:
    """Instruction and argument of each line, continued lines as one."""
    lines = re.sub(r"^#.*\n", "", RECIPE, flags=re.M).replace("\\\n", "").splitlines()
    return [(words[0], words[2]) for words in (line.partition(" ") for line in lines) if words[0]]


def index_settings() -> tuple[dict[str, str], set[str]]:
    """Where this machine's pip finds packages: as variables, and the folders and files they name.

    In the root these stand under /host, where no package of the recipe writes.
    """
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    variables: dict[str, str] = {}
    places: set[str] = set()
    for key, _, value in (line.partition("=") for line in listed.splitlines()):
        name = "PIP_" + key.rpartition(".")[2].upper().replace("-", "_")
        words = []
        for word in ast.literal_eval(value).split():
            path = word.removeprefix("file://")
            if path.startswith("/"):
                places.add(
                    path if path == word else str(Path(path).parent)
                )  # files beside an index
                word = word.replace(path, f"/host{path}")
            words.append(word)
        variables[name] = " ".join(words)
    return variables, places


class Root:
    """A root folder that commands run in, with the variables of the recipe so far."""

    def __init__(self, folder: Path, suite: str) -> None:
        command = ["mmdebstrap", "--quiet", "--variant=minbase", suite, folder]
        subprocess.run(command, check=True)
        self.folder = folder
        variables, places = index_settings()
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **variables}
        self.seen = {place: place for place in ("/dev", "/proc", "/etc/resolv.conf", str(ROOT))}
        self.seen |= {place: f"/host{place}" for place in places if Path(place).exists()}

    def set(self, text: str) -> None:
        for word in shlex.split(text):
            key, _, value = word.partition("=")
            self.environment[key] = string.Template(value).safe_substitute(self.environment)

    def run(self, command: str) -> None:
        """With the host's devices, network, package index and the project in sight."""
        mounts = ["mount --make-rprivate /"]
        for place, there in self.seen.items():
            inside = self.folder / there.lstrip("/")
            made = inside if Path(place).is_dir() else inside.parent
            made.mkdir(parents=True, exist_ok=True)
            if made != inside:
                inside.touch()
            mounts.append(shlex.join(["mount", "--rbind", place, str(inside)]))
        variables = [f"{key}={value}" for key, value in self.environment.items()]
        enter = ["chroot", str(self.folder), "env", "-i", *variables, "sh", "-ec", command]
        script = " && ".join([*mounts, shlex.join(enter)])
        subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True)


def test_every_step_of_the_recipe_runs_and_makes_the_environment(tmp_path):
    (suite,) = re.findall(r"^FROM debian:(\w+)-slim$", RECIPE, re.M)
    assert {"ENV", "COPY", "RUN"} <= {instruction for instruction, _ in steps()}
    root = Root(tmp_path / "root", suite)
    try:
        for instruction, text in steps():
            if instruction in ("ARG", "ENV"):
                root.set(text)
            elif instruction == "COPY":
                shutil.copytree(ROOT / "envs", root.folder / text.split()[1].lstrip("/"))
            elif instruction == "RUN":
                root.run(text)
        root.run("python -c 'import torch, vllm, trl, peft, math_verify'")
        place = shlex.quote(str(ROOT))
        check = "python -m reasonmaxxer check --configfile config/test.yaml"
        root.run(f"cd {place} && PYTHONPATH=workflow {check}")
    finally:
        shutil.rmtree(root.folder)
