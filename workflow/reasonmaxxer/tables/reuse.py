"""Results that are there already: a job that was done before takes its files from then.

Snakemake plans every job behind one that runs again, since it cannot know what will come out.
Often the same comes out: a better verifier changes few verdicts, and the same selection asks for no
training. Each job of a run therefore looks first whether its command, the hash of its code, its
settings and the content of its inputs were seen before in this run. If so, it takes the files that
were made then. They are kept by hard links, so they take no space of their own until other files
replace them. Threads, memory and the like are not compared.

What is forced (`-R <stage>`, `--force`) is made again: the Snakefile lists it in `forced.json`.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..registry import Stage
from .code_hash import code_hash
from .provenance import sha256
from .writing import replacing, write_text

NOT_IN_KEY = {"*": "whether a job runs, not what it makes"}

# Set for every job of the workflow; the folder of the GPUs' locks where jobs run on this machine.
POOL = "REASONMAXXER_GPU_POOL"
FOLDER = ".reuse"
RECORD, FORCED = "record.json", "forced.json"
KEPT = 2  # earlier results of the same files, beside the present one
# Flags that say where a job runs, which changes none of its results.
UNTRACKED = {
    *("--threads", "--workers", "--batch-tokens", "--scratch", "--kv-cache-mb"),
    *("--gpu-memory-utilization", "--tensor-parallel", "--pipeline-parallel"),
    *("--record", "--report-to"),
}
PARQUET = b"PAR1"
CODE = "hash of the code whose earlier results are taken; by default that of the code here"
# Of an adapter or a model: what tells of it, which no job reads that runs it.
TOLD = {"README.md", "validation.parquet", "checkpoint.json", "distillation.json"}


class Reuse:
    """What a job of the workflow would make, or one file of it, and whether it was made before."""

    def __init__(
        self, stage: str, settings: Any, outputs: Sequence[Path], code: str | None = None
    ) -> None:
        """Reads and hashes all inputs.

        Args:
            stage: whose command makes it.
            settings: all that it is made from, paths of files among them.
            outputs: files or folders to write, in the folder of a run.
            code: hash of the code that counts as the maker's; None: of the code that is here.
        """
        self.outputs = list(outputs)
        code = code or code_hash(f"stages.{stage}")
        said = json.dumps([stage, code, content(settings), len(outputs)], sort_keys=True)
        self.key = hashlib.sha256(said.encode()).hexdigest()[:24]
        self.store = Path(*self.outputs[0].parts[:2]) / FOLDER
        places = "\0".join(map(str, self.outputs))
        self.group = self.store / hashlib.sha256(places.encode()).hexdigest()[:16]

    def take(self) -> bool:
        """Put the files there that were made before; False where there are none, or not as made."""
        if self._forced():
            shutil.rmtree(self.group, ignore_errors=True)
            return False
        for entry in sorted(self.store.glob(f"*/{self.key}")):
            record = _record(entry)
            if record is None:  # damaged, or the job that wrote it was killed
                shutil.rmtree(entry, ignore_errors=True)
                continue
            for name, (kept, _) in record["files"].items():
                output, _, inner = name.partition("/")
                with replacing(Path(self.outputs[int(output)], inner)) as partial:
                    os.link(entry / kept, partial)
            print("taken from an earlier job: same code, settings and inputs", file=sys.stderr)
            print(record["log"], file=sys.stderr)
            return True
        return False

    def keep(self, log: str) -> None:
        """Remember what the command has made, with what its log says last."""
        entry = self.group / self.key
        shutil.rmtree(entry, ignore_errors=True)
        files = {}
        for number, (name, path) in enumerate(self._made()):
            kept = entry / str(number)
            kept.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, kept)
            except OSError:  # no hard links here: nothing is reused
                shutil.rmtree(entry, ignore_errors=True)
                return
            files[name] = [str(number), sha256(path)]
        write_text(entry / RECORD, json.dumps({"files": files, "log": log}))
        old = sorted(self.group.iterdir(), key=lambda other: other.stat().st_mtime)
        for other in old[: -KEPT - 1]:
            shutil.rmtree(other, ignore_errors=True)

    def _made(self) -> Iterator[tuple[str, Path]]:
        """What was made, named by the output's place and the name within an output folder."""
        for number, output in enumerate(self.outputs):
            for path in sorted(_files(output)) if output.is_dir() else [output]:
                yield f"{number}/{path.relative_to(output)}", path

    def _forced(self) -> bool:
        try:
            forced = json.loads((self.store / FORCED).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return any(
            Path(path) == output or output in Path(path).parents
            for path in forced
            for output in self.outputs
        )


def of_job(stage: Stage, arguments: Sequence[str]) -> Reuse | None:
    """What a stage's job may reuse as a whole; None where nothing, or each file by itself."""
    given = _by_flag(arguments)
    outputs = [Path(value) for flag in stage.outputs for value in given.pop(flag, [])]
    settings = {flag: values for flag, values in given.items() if flag not in UNTRACKED}
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    return None if several or not _in_a_run(outputs) else Reuse(stage.name, settings, outputs)


def missing(
    stage: str, files: Mapping[Path, Any], code: str | None = None
) -> dict[Path, Reuse | None]:
    """Which of a job's files no earlier job has made; the others are put where they belong.

    Args:
        stage: whose command makes them.
        files: each with what it is made from.
        code: as in `Reuse`: an older hash where the config freezes the stage.

    Returns:
        File -> where to keep it once it is made; None where nothing is kept.
    """
    found = {
        path: Reuse(stage, made, [path], code) if _in_a_run([path]) else None
        for path, made in files.items()
    }
    return {path: reuse for path, reuse in found.items() if reuse is None or not reuse.take()}


def _in_a_run(outputs: Sequence[Path]) -> bool:
    """Whether a job of the workflow writes these, and all of them to `results`."""
    return POOL in os.environ and {path.parts[:1] for path in outputs} == {("results",)}


def say_forced(run: str, outputs: Iterable[str]) -> None:
    """Tell the jobs of a run which of their files are to be made again in any case."""
    write_text(Path(run) / FOLDER / FORCED, json.dumps(sorted(outputs)))


def _by_flag(arguments: Sequence[str]) -> dict[str, list[str]]:
    """The values of each flag, in their order."""
    found: dict[str, list[str]] = {}
    flag = ""
    for word in arguments:
        if word.startswith("--"):
            flag = word
            found[flag] = []
        else:
            found.setdefault(flag, []).append(word)
    return found


def content(value: Any) -> Any:
    """A value such that equal ones make equal results: files by their content, JSON by its keys."""
    if isinstance(value, Mapping):
        return {key: content(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [content(inner) for inner in value]
    if not isinstance(value, str):
        return value
    if value[:1] in ("{", "["):
        with contextlib.suppress(ValueError):
            return content(json.loads(value))
    if len(value) > 250 or "\n" in value or not ("/" in value or "." in value):
        return value
    return _of_path(Path(value))


def _of_path(path: Path) -> Any:
    """The content of a file, or of a folder of the run or of a model; else the path itself."""
    if path.is_file():
        return content_hash(path)
    if path.parts[:1] == ("results",) or (path / "config.json").is_file():
        files = sorted(file for file in _files(path) if file.name not in TOLD)
        return {str(file.relative_to(path)): content_hash(file) for file in files}
    return str(path)


def _files(folder: Path) -> Iterator[Path]:
    """The files in a folder and the folders in it, hidden ones left out."""
    for path in folder.rglob("*"):
        inner = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in inner):
            yield path


def content_hash(path: Path) -> str:
    """SHA-256 of a file; of a Parquet file, of its rows alone, and of a template, of its lines.

    What made a table stands behind its rows, in the footer, and may differ where they do not. Other
    line ends make no other prompt.
    """
    if path.suffix == ".txt":
        return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    size = path.stat().st_size
    with path.open("rb") as file:
        if size < 12 or file.read(4) != PARQUET:
            return sha256(path)
        file.seek(-8, os.SEEK_END)
        left = size - 8 - int.from_bytes(file.read(4), "little")
        if left < 0:
            return sha256(path)
        file.seek(0)
        digest = hashlib.sha256()
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        return digest.hexdigest()


def _record(entry: Path) -> dict[str, Any] | None:
    """What an entry holds; None where it is not whole or not as it was made."""
    try:
        record: dict[str, Any] = json.loads((entry / RECORD).read_text(encoding="utf-8"))
        files = record["files"].values()
        return record if all(sha256(entry / kept) == digest for kept, digest in files) else None
    except (OSError, ValueError, KeyError):
        return None
