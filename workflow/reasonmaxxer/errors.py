"""Errors that the user can fix: the command line prints them without a traceback."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOT_IN_KEY = {"*": "what users are told when something is wrong"}


class UserError(Exception):
    """Something in the config, an input or a file of a run is wrong.

    The message names the file, the field and the remedy. The command line prints it alone and
    exits with status 2.
    """


# How what Git LFS leaves in a file's place begins.
POINTER = b"version https://git-lfs"
# Names of the hub libraries' exceptions, or parts of their messages: what they mean to a user.
# The first that fits counts: a repository that is not found may be gated too, its message says.
HUB_ERRORS = {
    "RepositoryNotFound": "not on the hub, or private: check the id, log in or set HF_TOKEN",
    "gated dataset": "gated: accept its terms on the hub, then log in or set HF_TOKEN",
    "GatedRepo": "gated: accept its terms on the hub, then log in or set HF_TOKEN",
    "OfflineModeIsEnabled": "not in the cache, and HF_HUB_OFFLINE is set; unset it or give a path",
    "RevisionNotFound": "this revision does not exist on the hub; check `revision`",
    "doesn't exist on the Hub": "not on the hub, or private: check the id, log in or set HF_TOKEN",
    "401 Unauthorized": "not on the hub, or private: check the id, log in or set HF_TOKEN",
    "find them in the cached files": "not in the cache, and the hub is out of reach or "
    "HF_HUB_OFFLINE is set; without internet access, give a local path",
    "ConnectError": "cannot be reached; check the network or HF_ENDPOINT, or give a path",
    "Couldn't reach": "cannot be reached; check the network or HF_ENDPOINT, or give a path",
    "instantiate the backend tokenizer": "no tokenizer.json, and no files to make it from",
    "429 ": "the hub is busy, or your limit for today is reached; run it again later",
    "Timeout": "gave no answer in time; run it again",
    "trust_remote_code": "needs code of its own (remote code), which is never run here",
    "Consistency check failed": "the download came out too short or too long; run it again",
}


def hub_error(error: BaseException) -> str:
    """What went wrong with a call of the Hugging Face libraries, in words for users."""
    text = str(error).strip()
    for mark, meaning in HUB_ERRORS.items():
        if mark in text or any(mark in type(cause).__name__ for cause in _causes(error)):
            return meaning
    first, *more = text.splitlines() or [type(error).__name__]
    return f"{first} {more[0].strip()}" if more and first.endswith(":") else first


def unreadable(path: str, what: str, error: Exception) -> UserError:
    """What a user is told of a model's files that a library could not read."""
    again = "; correct its files, or copy them again" if Path(path).is_dir() else ""
    return UserError(f"model.path: {path}: {what}: {hub_error(error).rstrip('.')}{again}")


def check_fetched(file: Path) -> None:
    """Raise `UserError` for a pointer that Git LFS has left in the place of the file."""
    with file.open("rb") as content:
        if content.read(len(POINTER)) == POINTER:
            raise UserError(f"{file}: a pointer of Git LFS, not the file: run `git lfs pull` there")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` if Python code in the block runs longer; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: Any) -> None:
        raise TimeoutError(f"it takes longer than {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, end)
    # Again and again: an error inside a finaliser is passed over.
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
