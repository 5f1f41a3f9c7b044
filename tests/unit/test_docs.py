"""What the pages tell a reader to type is there: commands, options, targets, files."""

from __future__ import annotations

import importlib
import re
import shlex
from argparse import ArgumentParser
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

from reasonmaxxer.__main__ import COMMANDS
from reasonmaxxer.registry import STAGES

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")],
    key=lambda page: page.relative_to(ROOT),
)
PAGES.remove(ROOT / "CHANGELOG.md")  # names what is no more
FOLDERS = (ROOT, ROOT / "workflow/reasonmaxxer", ROOT / "tests")  # that pages name files from
FILE = re.compile(r"(?<![\w./<>-])(?:[a-z_]+|\.ci)/[\w./*+-]*\w/?(?![\w({<])")
# What a reader puts there or makes: copies of ours, images, results.
READERS = re.compile(r"(^|/)(local|mine\b|my\b)|\.sif$|^results/")
PLACE_HOLDER = re.compile(r"<|\bN\b")


def code(page: Path) -> list[str]:
    """Lines of blocks, a continued line being one, and what stands in backquotes."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    return [" ".join(found) for found in re.findall(r"^ {4}(.*)$|`([^`\n]+)`", text, re.M)]


def commands(start: str) -> list[str]:
    """The commands that pages show, without their comments."""
    shown = {line.split("  #")[0].strip() for page in PAGES for line in code(page)}
    return sorted(c for c in shown if c.startswith(start) and not PLACE_HOLDER.search(c))


def words(command: str, after: str) -> list[str]:
    """What a shell passes on behind the beginning of a command, or of a part of one (...)."""
    return [word for word in shlex.split(command.removeprefix(after)) if word != "..."]


@pytest.mark.parametrize("command", commands("python -m reasonmaxxer"))
def test_a_command_of_ours_is_one_that_its_parser_takes(command: str) -> None:
    name, *arguments = words(command, "python -m reasonmaxxer")
    parser = ArgumentParser()
    importlib.import_module(f"reasonmaxxer.{COMMANDS[name]}").add_arguments(parser)
    known = {option for action in parser._actions for option in action.option_strings}
    assert {word for word in arguments if word.startswith("--")} <= known
    if {*arguments} - {"--help"} and "..." not in command:
        parser.parse_args(arguments)


@pytest.mark.parametrize("command", commands("snakemake"))
def test_a_call_of_snakemake_names_what_there_is(command: str) -> None:
    asked = get_argument_parser().parse_args(words(command, "snakemake"))
    for target in [*asked.targets, *(asked.forcerun or [])]:
        assert target in STAGES or target.startswith("results/"), target
    for path in map(str, [*(asked.configfile or []), *filter(None, [asked.workflow_profile])]):
        assert READERS.search(path) or (ROOT / path).exists(), path


def test_make_has_the_targets_that_pages_name() -> None:
    has = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {word for command in commands("make ") for word in words(command, "make ")}
    assert len(named) > 5
    assert {word for word in named if "=" not in word} <= has


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_or_links_are_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
    ours = {path.name for folder in FOLDERS for path in folder.iterdir() if path.is_dir()}
    named = {file.rstrip("/") for line in code(page) for file in FILE.findall(line)}
    assert [
        file
        for file in sorted(named)
        if file.split("/")[0] in ours
        and not READERS.search(file)
        and not any(list(folder.glob(file)) for folder in FOLDERS)
    ] == []
