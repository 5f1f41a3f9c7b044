"""The judge's worker processes, found as the system lists them."""

from pathlib import Path


def workers_of(parent: int) -> list[int]:
    """Process ids of the judge's workers below `parent`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_text()
        except OSError:
            continue
        if (
            int(status[1]) == parent
            and status[0] != "Z"
            and "reasonmaxxer.verifier.workers.worker" in command
        ):
            found.append(int(entry.name))
    return found
