"""The jobs of a finished run as shell commands, and whether what one made equals what it was."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import project_copy
import pyarrow.parquet as pq

CONFIG = "config/test.yaml"
RUN = Path("results/test")
ENVIRONMENT = {**project_copy.ENVIRONMENT, "OMP_NUM_THREADS": "1"}

# What two runs of the same thing differ in: how fast they were; and what made a file, which names
# the content of each input, is left out of tables and of JSON alike.
MEASURED = {"tokens_per_second", "peak_memory_mb", "seconds", "reached", "provenance"}


@dataclass(frozen=True)
class Job:
    """One job of the unbroken run."""

    rule: str
    name: str  # its log is logs/<name>.log
    command: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    seconds: float
    size: int  # bytes of its largest output

    @property
    def scratch(self) -> str | None:
        found = re.search(r"--scratch (\S+)", self.command)
        return found.group(1) if found else None

    def log(self, folder: Path) -> Path:
        return folder / RUN / "logs" / f"{self.name}.log"

    def clear(self, folder: Path) -> None:
        """Remove all that the job makes."""
        for output in self.outputs:
            (folder / output).unlink(missing_ok=True)
        if self.scratch:
            shutil.rmtree(folder / self.scratch, ignore_errors=True)

    def leftovers(self, folder: Path) -> list[Path]:
        """Unfinished files beside the outputs."""
        parents = {(folder / output).parent for output in self.outputs}
        return [path for parent in parents for path in parent.glob(".*.part")]


def snakemake(
    folder: Path, *arguments: str, change: str | None = None, wrapper: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """Snakemake in a session of its own, so that it can be killed with all it started.

    `change` is YAML that is laid over the config.
    """
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    command += ["--configfile", CONFIG]
    if change is not None:
        (folder / "change.yaml").write_text(change, encoding="utf-8")
        command.append("change.yaml")
    return subprocess.Popen(
        [*wrapper, *command],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(folder: Path, *arguments: str, **options: Any) -> str:
    """The same, to its end. Raises if it fails."""
    process = snakemake(folder, *arguments, **options)
    output = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"snakemake {' '.join(arguments)} failed:\n{output[-4000:]}")
    return output


def jobs_of(folder: Path) -> list[Job]:
    """All jobs of the finished run in `folder`, as Snakemake would start them again."""
    text = run(folder, "--dry-run", "--printshellcmds", "--forceall")
    jobs = []
    for block in re.split(r"^\[.*\]$", text, flags=re.M):  # each begins with the time of day
        about = dict(re.findall(r"^ *([\w ]+): (.*)$", block, re.M))
        if "output" not in about:
            continue
        rule = re.search(r"rule (\w+):", block).group(1)
        inputs, outputs = (tuple(about.get(key, "").split(", ")) for key in ("input", "output"))
        header, row = (folder / about["benchmark"]).read_text().splitlines()[:2]
        seconds = float(dict(zip(header.split("\t"), row.split("\t"), strict=True))["s"])
        size = max((folder / output).stat().st_size for output in outputs)
        name = Path(about["log"]).with_suffix("").relative_to(RUN / "logs").as_posix()
        jobs.append(Job(rule, name, about["Shell command"], inputs, outputs, seconds, size))
    return jobs


def shell(
    job: Job, folder: Path, command: str | None = None, wrapper: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start the job's command as Snakemake does, in a process group of its own."""
    for output in job.outputs:
        (folder / output).parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [*wrapper, "bash", "-c", f"set -euo pipefail; {command or job.command}"],
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONPATH": str(folder / "workflow")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


# --- comparing --------------------------------------------------------------------------------


def content(path: Path) -> Any:
    """What a file says, without how fast it was made."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        kept = [name for name in table.column_names if name not in MEASURED]
        return table.select(kept).replace_schema_metadata()
    if path.suffix == ".json":
        return _without_measured(json.loads(path.read_text(encoding="utf-8")))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _without_measured(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_measured(v) for k, v in value.items() if k not in MEASURED}
    if isinstance(value, list):
        return [_without_measured(item) for item in value]
    return value


def different(files: tuple[str, ...] | list[str], folder: Path, reference: Path) -> list[str]:
    """The files that are missing or say something else than in the unbroken run."""
    return [
        file
        for file in files
        if not (folder / file).exists()
        or not _equal(content(folder / file), content(reference / file))
    ]


def _equal(one: Any, other: Any) -> bool:
    return one.equals(other) if hasattr(one, "equals") else one == other
