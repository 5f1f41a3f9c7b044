"""The command `judge`: what it takes, where it writes, and what it says of what it cannot take."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reasonmaxxer import __main__ as command_line

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(command_line.__file__).parents[1])}
PAIRS = '{"gold": 72, "completion": "\\\\boxed{72}"}\n{"gold": "1", "completion": "\\\\boxed{2}"}\n'


def judge(*flags):
    command_line.main(["judge", *map(str, flags)])


def verdicts(text):
    return [json.loads(line)["verdict"] for line in text.splitlines()]


def test_standard_input_and_output_are_the_default():
    command = [sys.executable, "-m", "reasonmaxxer", "judge"]
    given = {"input": PAIRS, "capture_output": True, "text": True, "env": ENVIRONMENT}
    assert verdicts(subprocess.run(command, check=True, **given).stdout) == ["correct", "incorrect"]


def test_a_byte_order_mark_is_passed_over_and_a_missing_folder_made(tmp_path):
    given, out = tmp_path / "pairs.jsonl", tmp_path / "new/folder/out.jsonl"
    given.write_text(PAIRS, encoding="utf-8-sig")
    judge("--input", given, "--output", out)
    assert verdicts(out.read_text()) == ["correct", "incorrect"]


def test_half_a_character_comes_out_as_it_went_in(tmp_path):
    given, out = tmp_path / "pairs.jsonl", tmp_path / "out.jsonl"
    given.write_text(r'{"gold": "1", "completion": "\ud83d \\boxed{1}"}')
    judge("--input", given, "--output", out)
    assert json.loads(out.read_text())["completion"] == "\ud83d \\boxed{1}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json", "line 1: not JSON"),
        (b'{"gold": "1"}', "line 1: completion: a text is needed"),
        (b'{"gold": [1], "completion": "1"}', "line 1: gold: a text or a number is needed"),
        (b'{"gold": true, "completion": "1"}', "line 1: gold: a text or a number"),
        (b'{"gold": NaN, "completion": "1"}', "line 1: gold: a text or a number"),
        (b"[1]", "line 1: an object with gold and completion"),
        (b"\n\xff", "line 2: not JSON"),
        (b"[" * 100_000, "line 1: not JSON"),
        (b'{"gold": ' + b"9" * 5000 + b"}", "line 1: not JSON"),
    ],
)
def test_a_line_that_cannot_be_judged_is_named(tmp_path, capsys, content, message):
    (tmp_path / "pairs.jsonl").write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        judge("--input", tmp_path / "pairs.jsonl", "--output", tmp_path / "out.jsonl")
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_thinking_that_the_prompt_opened_is_no_answer(tmp_path):
    given, out = tmp_path / "pairs.jsonl", tmp_path / "out.jsonl"
    cut, whole = r"I guess \boxed{40}; let me", r"Is it \boxed{5}?</think>It is \boxed{40}."
    given.write_text(
        "".join(json.dumps({"gold": 40, "completion": c}) + "\n" for c in (cut, whole))
    )
    judge("--input", given, "--output", out, "--thinking")
    assert verdicts(out.read_text()) == ["unparseable", "correct"]


@pytest.mark.parametrize("output", ["", "pairs.jsonl/out.jsonl"])
def test_an_output_that_cannot_be_is_named_before_anything_is_judged(tmp_path, capsys, output):
    (tmp_path / "pairs.jsonl").write_text(PAIRS)
    with pytest.raises(SystemExit) as ended:
        judge("--input", tmp_path / "pairs.jsonl", "--output", tmp_path / output)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"judge: error: {tmp_path / output}".removesuffix("/out.jsonl") in said
    assert "row" not in said


@pytest.mark.parametrize("workers", ["-1", "0", "two"])
def test_there_is_at_least_one_worker(capsys, workers):
    with pytest.raises(SystemExit):
        judge("--workers", workers)
    assert f"{workers}: a whole number that is at least 1 is needed" in capsys.readouterr().err
