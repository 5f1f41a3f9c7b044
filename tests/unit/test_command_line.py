"""What `python -m reasonmaxxer` says of itself."""

from __future__ import annotations

import re

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
