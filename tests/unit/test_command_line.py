"""What `python -m reasonmaxxer` says of itself."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reasonmaxxer.__main__ import COMMANDS, main


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_the_help_says_of_every_command_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    lines = dict(re.findall(r"^  ([a-z_-]+) +(\w.*)$", said(capsys), re.M))
    assert COMMANDS.keys() <= lines.keys()
    assert lines["show"] == "print a run's main table"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_tells_a_default_once_and_only_where_there_is_one(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    text = said(capsys, command)
    assert not re.search(r"default: (None|False|\[\])", text)
    for option in re.split(r"\n  (?=-)", text):
        assert option.count("default") <= 1


def test_without_a_command_the_commands_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    shown = capsys.readouterr().out
    assert all(re.search(rf"^  {command} ", shown, re.M) for command in COMMANDS)


def test_a_terminal_that_knows_no_other_letters_gets_question_marks() -> None:
    command = [sys.executable, "-m", "reasonmaxxer", "prompt", "--configfile", "config/test.yaml"]
    workflow = str(Path(__file__).parents[2] / "workflow")
    environment = {**os.environ, "PYTHONPATH": workflow, "PYTHONIOENCODING": "ascii"}
    shown = subprocess.run(
        command, cwd=Path(workflow).parent, env=environment, capture_output=True, check=True
    )
    assert b"? the completion starts here" in shown.stdout


def test_ctrl_c_is_one_line_that_says_how_it_goes_on() -> None:
    """Wherever it comes: while packages are loaded, or while a command waits for its input."""
    workflow = str(Path(__file__).parents[2] / "workflow")
    # The last module that is loaded, and one before it.
    for loaded, seconds in (
        ("reasonmaxxer.verifier.units", 0),
        ("reasonmaxxer.tools.arguments", 1),
    ):
        judge = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "reasonmaxxer", "judge"],
            env={**os.environ, "PYTHONPATH": workflow},
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A job in a shell's background has it ignored, and so would this process.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert judge.stderr is not None
        assert any(line.split("|")[-1].strip() == loaded for line in judge.stderr)
        time.sleep(seconds)
        judge.send_signal(signal.SIGINT)
        said = judge.stderr.read()
        assert judge.wait() == 130
        assert said.endswith(
            "reasonmaxxer judge: stopped; run the same command again to continue\n"
        )
        assert "Traceback" not in said
