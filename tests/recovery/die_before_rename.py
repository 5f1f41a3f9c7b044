"""Runs the reasonmaxxer command line and dies between writing a file and renaming it.

As if the power had gone: no clean-up, no exit handler. The first argument says at which file.
"""

import os
import signal
import sys
from pathlib import Path

from reasonmaxxer.__main__ import main

remaining = int(sys.argv[1])
rename = Path.replace


def die(self: Path, target: Path) -> Path:
    global remaining
    remaining -= 1
    if not remaining:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)


Path.replace = die  # type: ignore[method-assign]
main(sys.argv[2:])
