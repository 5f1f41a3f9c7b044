"""The command line: `python -m reasonmaxxer COMMAND --help`.

Every stage of the workflow is a command with explicit paths, so that it runs without Snakemake.
"""

import argparse
import errno
import importlib
import io
import os
import re
import signal
import sys
from pathlib import Path

from . import registry
from .analysis import spent
from .errors import UserError
from .tables import reuse

# Command -> module; a module offers HELP, add_arguments(parser) and main(args). Only the module
# of the command that is called is imported, since some need seconds to load.
STAGES = {name: f"stages.{name}" for name, stage in registry.STAGES.items() if not stage.command}
TOOLS = {
    "check": "tools.check",
    "init": "tools.init",
    "prompt": "tools.show_prompts",
    "judge": "tools.judge",
    "show": "report.terminal",
    "export": "tools.export",
    "push": "tools.push",
    "bridge": "tools.bridge",
    "gpus": "graph.gpus",
    "schema": "tools.schema",
    "pretrain": "lab.pretrain",
    "lab-audit": "tools.lab_audit",
}
COMMANDS = {**STAGES, **TOOLS}
# What is wrong with a place that a command line names.
PLACES = (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError)


class Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Tells a default where there is one and the help does not tell it in words."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        nothing = action.default is None or action.default is False or action.default == []
        if action.required or nothing or "default" in (action.help or ""):
            return action.help
        return super()._get_help_string(action)


def overview() -> str:
    """What every command does: its module's HELP, read as text, since some need seconds to load."""
    lines = []
    for title, commands in (
        ("tools", TOOLS),
        ("stages of the workflow, which Snakemake runs", STAGES),
    ):
        lines += ["", f"{title}:"]
        for command, module in commands.items():
            source = Path(__file__).parent.joinpath(*module.split(".")).with_suffix(".py")
            said = re.search(r'^HELP = "(.)(.*?)\.?"$', source.read_text(encoding="utf-8"), re.M)
            lines.append(f"  {command:15}{said[1].lower() + said[2] if said else ''}")
    return "\n".join(
        [*lines[1:], "", "The workflow itself: snakemake --cores all results/report.html"]
    )


def main(argv: list[str] | None = None) -> None:
    """Run one command; a user's error is printed without traceback, status 2."""
    # Whether there is a GPU PyTorch then asks the driver's library instead of CUDA itself: a
    # process that has asked CUDA cannot fork, which is how vLLM starts its own (and how these
    # keep the job's GPU locked). vLLM sets it too, but only when it is imported: after we ask.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="reasonmaxxer",
        description="Reasoning gains from a base model's own decision points, without RL.",
        epilog=overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for stream in (sys.stdout, sys.stderr):  # an ASCII terminal gets a question mark
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below")
    if not arguments:
        parser.print_help()
        return
    command = parser.parse_args(arguments[:1]).command
    try:
        run(command, arguments[1:])
    except KeyboardInterrupt:
        print(
            f"reasonmaxxer {command}: stopped; run the same command again to continue",
            file=sys.stderr,
        )
        sys.exit(128 + signal.SIGINT)


def run(command: str, arguments: list[str]) -> None:
    """Run a command of `COMMANDS`; the errors of users and of their disks are said in words."""
    # Before the module is imported, which may take seconds.
    stage = registry.STAGES.get(command)
    job = reuse.of_job(stage, arguments) if stage is not None else None
    if job is not None and job.take():
        return
    module = importlib.import_module(f"{__package__}.{COMMANDS[command]}")
    own = argparse.ArgumentParser(
        prog=f"reasonmaxxer {command}",
        description=f"{module.HELP[0].upper()}{module.HELP[1:].rstrip('.')}.",
        formatter_class=Formatter,
    )
    module.add_arguments(own)
    try:
        module.main(own.parse_args(arguments))
        sys.stdout.flush()  # here a full disk or a closed pipe still ends in words
        if reuse.POOL in os.environ:  # a job of the workflow
            print(said := spent.line(), file=sys.stderr)
            if job is not None:
                job.keep(said)
    except UserError as error:
        print(f"reasonmaxxer {command}: error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        if full_disk(error):
            said = f"{error}; free some space and run the same command again"
        elif isinstance(error, PLACES) and error.filename is not None:
            said = f"{error.filename}: {error.strerror}; name a file that can be read or written"
        else:
            raise
        print(f"reasonmaxxer {command}: error: {said}", file=sys.stderr)
        sys.exit(2)


def full_disk(error: BaseException) -> bool:
    """Whether a full disk or quota is behind it: some libraries say so in words alone."""
    numbers = (errno.ENOSPC, errno.EDQUOT)
    words = any(os.strerror(number) in str(error) for number in numbers)
    return words or getattr(error, "errno", None) in numbers


if __name__ == "__main__":
    main()
