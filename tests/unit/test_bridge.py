"""Samples from and to lm-eval and lighteval, and why their verdicts differ from ours."""

import argparse
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from evaluated_run import COMPLETIONS, FLAGS, write_run

from reasonmaxxer.errors import UserError
from reasonmaxxer.tools import bridge

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """The command on a run with four samples; returns what it printed."""
    monkeypatch.chdir(ROOT)

    def command(*flags):
        parser = argparse.ArgumentParser()
        bridge.add_arguments(parser)
        flags = [*FLAGS, "--results", tmp_path, *flags]
        bridge.main(parser.parse_args([str(flag) for flag in flags]))
        return capsys.readouterr().out

    command.problems = write_run(tmp_path)
    return command


@pytest.mark.parametrize("name", ["samples.jsonl", "details.parquet"])
def test_what_is_written_reads_back_with_every_verdict(run, tmp_path, name):
    run("--write", tmp_path / name)
    said = run("--read", tmp_path / name, "--differences", tmp_path / "differences.jsonl")
    assert "4 of 4 samples are of problems of short" in said
    assert re.findall(r": (0\.\d+) solved", said) == ["0.500"] * 3
    assert "0 of 4 prompts are not the run's" in said
    assert (tmp_path / "differences.jsonl").read_text() == ""


def test_the_forms_are_those_of_lm_eval_and_lighteval(run, tmp_path):
    run("--write", tmp_path / "s.jsonl")
    run("--write", tmp_path / "s.parquet")
    first = json.loads((tmp_path / "s.jsonl").read_text().splitlines()[0])
    problem, (text, _) = run.problems[0], COMPLETIONS["2"][0]
    assert first["doc"]["problem"] == problem["problem"]
    assert (first["target"], first["resps"], first["filtered_resps"]) == ("2", [[text]], [text])
    assert first["arguments"]["gen_args_0"]["arg_1"]["max_gen_toks"] == 128
    assert first[first["metrics"][-1]] == 1
    detail = pq.read_table(tmp_path / "s.parquet").to_pylist()[0]
    assert detail["doc"]["query"] == first["arguments"]["gen_args_0"]["arg_0"]
    assert detail["doc"]["choices"][detail["doc"]["gold_index"][0]] == "2"
    assert detail["model_response"]["text"] == [text]
    assert detail["metric"] == {"reasonmaxxer": 1.0}


def theirs(problem, text, score, filtered=None, limit=1000):
    """A row of lm-eval, as its own prompt and filter give it."""
    prompt = f"Question: What is 1 + 1?\nAnswer: 2\n\nQuestion: {problem['problem']}\nAnswer:"
    return {
        "doc": {"question": problem["problem"]},
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {"max_gen_toks": limit}}},
        "resps": [[text]],
        "filtered_resps": [filtered or text],
        "metrics": ["exact_match"],
        "exact_match": score,
    }


def test_every_difference_has_its_kind(run, tmp_path):
    two, half = run.problems
    rows = [
        theirs(two, "It is \\boxed{2}.", 1.0, "2"),
        theirs(two, "12 - 10 = \\boxed{2}, or 2 of 12", 0.0, "12"),
        theirs(half, "It is \\boxed{0.5}.", 0.0, "0.5"),
        theirs(half, "1/2 1/2 1/2 1/2", 1.0, "1/2", limit=5),
        theirs(half, "It is \\boxed{0.5}.", 0.0),
        theirs({"problem": "Of another benchmark"}, "3", 0.0),
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = run("--read", path, "--differences", tmp_path / "d.jsonl")
    assert "5 of 6 samples are of problems of short" in said
    assert "exact_match: 0.400 solved" in said
    assert "5 of 5 prompts are not the run's" in said
    found = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in found] == ["extraction", "comparison", "truncation", "unknown"]


@pytest.mark.parametrize(
    ("rows", "flags", "message"),
    [
        ([{"gold": "1"}], [], "line 1: not a sample of lm-eval"),
        ([], [], "contains no problem|contains no sample"),
        ([theirs({"problem": "Another"}, "3", 0)], [], "no prompt contains a problem of short"),
        (
            [theirs({"problem": "Another"}, "3", 0)],
            ["--metric", "acc"],
            "without the metric: .*acc",
        ),
        ([], ["--benchmark", "shorter"], "--benchmark shorter: the run has short, far"),
        ([], ["--arm", "grpo"], "--arm grpo: evaluated on it are base, reasonmaxxer"),
    ],
)
def test_what_cannot_be_read_is_named(run, tmp_path, rows, flags, message):
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=message):
        run("--read", path, *flags)
