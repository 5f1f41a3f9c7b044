"""Dry runs of a project, each in a fork of one process that has imported everything already.

Imports and code hashes are most of what a dry run takes, and they are the same for every edit of a
config. Where a module was edited that the Snakefile does not import, `code_changed` hashes anew.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path


class DryRuns:
    """The process, and what it is asked."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.server = subprocess.Popen(
            [sys.executable, __file__],
            cwd=project,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *arguments: str, code_changed: bool = False) -> str:
        """What Snakemake printed. Raises `AssertionError` where it failed."""
        output = self.project / "dry-run.log"
        assert self.server.stdin and self.server.stdout
        asked = json.dumps([str(output), code_changed, *arguments])
        print(asked, file=self.server.stdin, flush=True)
        status = self.server.stdout.readline().strip()
        text = output.read_text()
        assert status == "0", text
        return text

    def close(self) -> None:
        self.server.communicate()


def jobs_in(text: str) -> dict[str, int]:
    """The table of a dry run: rule -> jobs; empty where there is nothing to do."""
    table = re.search(r"Job stats:\n.*?\n-+ .*?\n(.*?)\ntotal", text, re.DOTALL)
    lines = table.group(1).splitlines() if table else []
    jobs = {name: int(count) for name, count in map(str.split, lines)}
    jobs.pop("all", None)
    return jobs


def prepare(project: Path) -> None:
    """Import and hash what every dry run of the project would."""
    sys.path.insert(0, str(project / "workflow"))
    import snakemake.cli  # noqa: F401

    from reasonmaxxer import tables  # noqa: F401
    from reasonmaxxer.__main__ import COMMANDS
    from reasonmaxxer.graph import manifest  # noqa: F401
    from reasonmaxxer.tables.code_hash import code_hash

    for module in COMMANDS.values():
        code_hash(module)


def dry_run(output: str, code_changed: bool, arguments: list[str]) -> int:
    """Snakemake's exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        import snakemake.cli

        from reasonmaxxer.tables import code_hash

        if code_changed:
            code_hash.forget()
        with Path(output).open("w") as file, contextlib.redirect_stderr(file):
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            sys.argv = ["snakemake", "--cores", "2", "--dry-run", *arguments]
            try:
                snakemake.cli.main()
            except SystemExit as ended:
                status = int(ended.code or 0)
            sys.stdout.flush()
    finally:
        os._exit(status)


if __name__ == "__main__":
    prepare(Path.cwd())
    for line in sys.stdin:
        output, code_changed, *arguments = json.loads(line)
        print(dry_run(output, code_changed, arguments), flush=True)
