"""Bad input stops a run with one clear error before anything is sampled."""

import json
import shutil

import pytest
import yaml

GOOD = {"id": "p1", "problem": "Ann has 2. How many has Ann?", "answer": "2"}


def jsonl(*rows):
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n"


def source(folder, *rows, limit=2, **columns):
    path = folder / "problems.jsonl"
    path.write_text(jsonl(*rows))
    return {"path": str(path), "limit": limit, **columns}


def broken_model(checkout, folder):
    model = folder / "model"
    shutil.copytree(checkout.folder / "data/lab/model", model)
    (model / "model.safetensors").write_bytes(b"not weights")
    return {"model": {"path": str(model)}}


def model_without_config(checkout, folder):
    (folder / "model").mkdir()
    return {"model": {"path": str(folder / "model")}}


def same_problems(checkout, folder):
    same = {"lab": {"suite": "short"}, "limit": 10}
    return {"problems": {"train": [same]}, "benchmarks": {"short": {"source": same}}}


CASES = {
    "an unknown key": (
        lambda p, f: {"rolouts": {}},
        "rolouts: unknown key; did you mean 'rollouts'?",
    ),
    "a missing file": (
        lambda p, f: {"problems": {"train": [{"path": "no.jsonl", "limit": 2}]}},
        "problems.train[0].path: no.jsonl: no such file",
    ),
    "a malformed row": (
        lambda p, f: {"problems": {"train": [source(f, GOOD, "{oops")]}},
        "problems.jsonl",
    ),
    "a row without an answer": (
        lambda p, f: {"problems": {"train": [source(f, GOOD, {**GOOD, "id": "p2", "answer": ""})]}},
        "answer",
    ),
    "a missing column": (
        lambda p, f: {"problems": {"train": [source(f, GOOD, problem="question")]}},
        "question",
    ),
    "duplicate ids": (
        lambda p, f: {"problems": {"train": [source(f, GOOD, {**GOOD, "problem": "Ann has 3."})]}},
        "p1",
    ),
    "a benchmark's problem in the training pool": (same_problems, "stand in another split"),
    "a model folder without a config": (model_without_config, "model.path"),
    "a model folder with broken weights": (broken_model, "not a readable safetensors file"),
    "a prompt without room for its completion": (
        lambda p, f: {"model": {"max_length": 150}},
        "more than model.max_length = 150",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named_before_anything_is_sampled(checkout, tmp_path, case):
    change, message = CASES[case]
    change_file = tmp_path / "change.yaml"
    change_file.write_text(yaml.safe_dump({"run": "bad", **change(checkout, tmp_path)}))
    shutil.rmtree(checkout.folder / "results/bad", ignore_errors=True)
    files = ["config/test.yaml", str(change_file)]
    output = checkout.snakemake("--until", "evaluate_arm", "--configfile", *files, check=False)
    assert message in output
    assert "Traceback" not in output
    assert not (checkout.folder / "results/bad/rollouts").exists()
    assert not (checkout.folder / "results/bad/completions").exists()
