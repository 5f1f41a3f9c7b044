"""Folders of unfinished work: one for each piece of work, and one process at a time in each."""

import fcntl
import hashlib
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_held: dict[Path, int] = {}  # the folders that this process works in: open files with a lock


def work_folder(scratch: Path, record: Any, *models: str) -> Path:
    """Folder of the unfinished work that `record` (JSON-like) describes, done with these models.

    Another record, or a local model whose files have changed, has another folder. It belongs to
    this process, or to this and those that share its work, until that ends. Another one is waited
    for: a run that was killed may have left a process that goes on, and two would write each
    other's checkpoints.
    """
    key = json.dumps([record, *map(_fingerprint, models)], sort_keys=True)
    folder = scratch / hashlib.sha256(key.encode()).hexdigest()[:16]
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        if os.environ.get("RANK", "0") != "0":  # the first of those that share the work holds it
            return folder
        if folder not in _held and not _lock(folder):
            return folder
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(_held[folder]), folder.stat()):
                return folder
        os.close(_held.pop(folder))  # whoever had it has finished, and has removed it


def _lock(folder: Path) -> bool:
    """Wait for the folder and hold it. False on a file system that has no locks."""
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{folder}: waiting for another process that works here", file=sys.stderr)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        os.close(file)
        return False
    _held[folder] = file
    return True


def _fingerprint(path: str) -> list[tuple[str, int, int]]:
    """Name, size and time of a local model's files."""
    folder = Path(path)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]
