"""Files written whole or not at all: under a temporary name first, renamed when complete."""

import contextlib
import errno
import glob
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

NOT_IN_KEY = {"*": "how a file comes to lie where it lies, not what is in it"}


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name beside `path`, renamed onto it when the block ends without error.

    A link stays a link: the file that it names is replaced. What is not a regular file (a pipe, a
    device, /dev/stdout) is written to, once everything is complete.
    """
    if (stream := _stream(Path(path))) is not None:
        with os.fdopen(stream, "wb") as out, tempfile.TemporaryDirectory() as folder:
            whole = Path(folder, "whole")
            yield whole
            with whole.open("rb") as file:
                shutil.copyfileobj(file, out)
        return
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_parts(target)
    partial = target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}.part")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _stream(path: Path) -> int | None:
    """A descriptor for no file of its own: /dev/stdout may be a file that a shell holds open."""
    own = re.fullmatch(r"/dev/(stdout|stderr|fd/(\d+))|/proc/self/fd/(\d+)", str(path))
    if own:
        name, *numbers = own.groups()
        number = {"stdout": 1, "stderr": 2}.get(name) or int(numbers[0] or numbers[1])
        return os.dup(number)
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else os.open(path, os.O_WRONLY)


def _remove_left_parts(target: Path) -> None:
    """Remove what killed jobs of this machine have left; a living job's part is its own.

    Of another machine's jobs nothing can be known: their parts stay.
    """
    start = f".{target.name}.{socket.gethostname()}."
    for left in target.parent.glob(f"{glob.escape(start)}*.part"):
        pid = left.name.removeprefix(start).removesuffix(".part")
        if pid.isdecimal() and not _is_alive(int(pid)):
            left.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return pid != os.getpid() and not _has_ended(pid)


def _has_ended(pid: int) -> bool:
    """Whether a process was killed and only its parent has not asked for its end yet (Linux)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state == "Z"
