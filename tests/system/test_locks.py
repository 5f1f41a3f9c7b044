"""Both locks resolve: complete, consistent and as wheels, on every Python that is supported.

Asks the package index; a minute.
"""

import subprocess

from project_copy import ENVIRONMENT, ROOT


def test_both_locks_are_complete_and_consistent() -> None:
    done = subprocess.run(
        ["bash", ROOT / "envs" / "lock.sh", "check"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{lock}.txt: complete and consistent on Python {python}"
        for python in ("3.11", "3.12")
        for lock in ("cpu", "cuda")
    ]
