"""The hub's code paths, against a hub of ours on the loopback, through the real libraries."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hub_server import COMMIT, Hub, Repository
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).parent
GOOD = [{"id": i, "problem": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(5)]
MEGABYTE = 2**20
PARAMETERS = 50_000 * 2 * 64 + 7 * 64**2 + 3 * 64  # embeddings, head, one layer, norms


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def tiny_model(folder):
    """A tokenizer of three words, and weights longer than a chunk of a download."""
    words = {"<eos>": 0, "one": 1, "two": 2}
    backend = Tokenizer(models.WordLevel(words, unk_token="<eos>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 2}
    settings = LlamaConfig(**sizes, num_hidden_layers=1, vocab_size=50_000)
    LlamaForCausalLM(settings).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


SPLITS = {f"{split}.jsonl": jsonl(GOOD) for split in ("test", "train")}
CONFIGURATIONS = """---
configs:
- {config_name: easy, data_files: [{split: train, path: train.jsonl}]}
- {config_name: hard, data_files: [{split: test, path: test.jsonl}]}
---
"""


DEFAULT = CONFIGURATIONS.replace("hard,", "hard, default: true,")
CHATS = [{"prompt": [{"role": "user", "content": row["problem"]}], "answer": "1"} for row in GOOD]


def repositories(folder):
    # Larger than a chunk of a download, so that something is there to resume from.
    long = jsonl([{**row, "note": "x" * 5 * MEGABYTE} for row in GOOD])
    model = tiny_model(folder)
    pickled = {name: content for name, content in model.items() if "safetensors" not in name}
    pickled["pytorch_model.bin"] = b"a pickle"
    return {
        "team/good": Repository({"test.jsonl": jsonl(GOOD)}),
        "team/splits": Repository(SPLITS),
        "team/configurations": Repository(SPLITS | {"README.md": CONFIGURATIONS.encode()}),
        "team/default": Repository(SPLITS | {"README.md": DEFAULT.encode()}),
        "team/aggregated": Repository({"test.jsonl": jsonl(GOOD)}, mood="busy"),
        "team/chats": Repository({"test.jsonl": jsonl(CHATS)}),
        "team/files": Repository({"some/where.jsonl": jsonl(GOOD), "other.jsonl": b"{"}),
        **{
            f"team/{mood}": Repository({"test.jsonl": jsonl(GOOD)}, mood=mood)
            for mood in ("gated", "refused", "private", "busy")
        },
        "team/breaking": Repository({"test.jsonl": long}, mood="breaking"),
        "team/model": Repository(model, kind="models"),
        "team/pickle-model": Repository(pickled, kind="models"),
        **{
            f"team/{mood}-model": Repository(model, kind="models", mood=mood)
            for mood in ("gated", "busy", "breaking", "short", "garbled")
        },
    }


def entry(**changes):
    hub = {"dataset": "team/good", "revision": COMMIT}
    return {"title": "t", "hub": hub, "licence": "ours", **changes}


REGISTER = {
    "right": entry(rows=5),
    "fewer": entry(rows=6),
    "other": entry(sha256="0" * 64),
    "column": entry(problem="problems"),
}
CASES = {
    **{
        name: {"hub": {"dataset": f"team/{name}", "revision": COMMIT}}
        for name in ("good", "gated", "refused", "private", "busy", "breaking", "missing")
    },
    "revision": {"hub": {"dataset": "team/good", "revision": "f" * 40}},
    "split": {"hub": {"dataset": "team/good", "revision": COMMIT, "split": "train"}},
    "files": {
        "hub": {"dataset": "team/files", "revision": COMMIT, "files": "some/where.jsonl"},
    },
    "model": {"model": {"path": "team/model", "revision": COMMIT}},
    "gated-model": {"model": {"path": "team/gated-model"}},
    "missing-model": {"model": {"path": "team/no-such-model"}},
    "weights": {"weights": {"path": "team/model", "revision": COMMIT}},
    **{
        f"{name}-weights": {"weights": {"path": f"team/{name}-model", "revision": COMMIT}}
        for name in ("gated", "busy", "breaking", "short", "garbled", "missing")
    },
    "revision-weights": {"weights": {"path": "team/model", "revision": "f" * 40}},
    "shape": {"shape": {"path": "team/model", "revision": COMMIT}},
    **{
        given: {"init": [given, split]}
        for given, split in (
            ("team/splits", "train"),
            ("team/good", "train"),
            ("team/splits:default:test", "train"),
            ("team/splits::test", "train"),
            ("team/configurations", "train"),
            ("team/configurations:hard", "train"),
            ("team/configurations:middle", "train"),
            ("team/splits::other", "test"),
            ("team/gated", "test"),
            ("team/no-such-data", "test"),
            ("team/default", "test"),
            ("team/aggregated", "test"),
            ("team/chats", "test"),
            ("https://hub/datasets/team/good", "test"),
            ("team/good:default:test:more", "test"),
        )
    },
    "commit": {"commit": "team/model"},
    "missing-commit": {"commit": "team/no-such-model"},
    "licence": {"licence": {"path": "team/model", "revision": COMMIT}},
    "missing-licence": {"licence": {"path": "team/no-such-model"}},
    "missing-shape": {"shape": {"path": "team/no-such-model"}},
    "gated-shape": {"shape": {"path": "team/gated-model"}},
    "pickle-weights": {"weights": {"path": "team/pickle-model", "revision": COMMIT}},
    "check": {"check": {"path": "team/model", "revision": COMMIT, "max_length": 512}},
    "check-pickle": {"check": {"path": "team/pickle-model", "max_length": 512}},
    "check-gated": {"check": {"path": "team/gated-model"}},
    "check-missing": {"check": {"path": "team/no-such-model"}},
    "check-revision": {"check": {"path": "team/model", "revision": "f" * 40}},
}


def run(cases, **environment):
    paths = {"PYTHONPATH": str(HERE.parents[1] / "workflow")}
    answer = subprocess.run(
        [sys.executable, str(HERE / "hub_cases.py")],
        input=json.dumps(cases),
        env={**os.environ, **paths, "HF_HUB_DISABLE_XET": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What every case gave, with the line and then without it, and the requests by repository."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "model").mkdir()
    register = folder / "sources.yaml"
    register.write_text(yaml.safe_dump(REGISTER))
    cases = CASES | {n: {"register": n, "file": str(register)} for n in REGISTER}
    with Hub(repositories(folder / "model")) as hub:
        home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home")}
        online = run(cases, **home)
        requests = {name: list(r.requests) for name, r in hub.repositories.items()}
        wanted = ("good", "model", "weights", "shape", "missing", "missing-weights")
        known = {name: cases[name] for name in wanted}
        offline = run(known, **home, HF_HUB_OFFLINE="1")
        assert {n: list(r.requests) for n, r in hub.repositories.items()} == requests
    return online, offline, requests


@pytest.mark.parametrize("case", ["good", "busy", "breaking", "files", "right"])
def test_a_dataset_at_its_revision_is_read(outcomes, case):
    assert outcomes[0][case] == 5


@pytest.mark.parametrize("case", ["weights", "busy-weights", "breaking-weights"])
def test_a_models_weights_at_their_revision_are_read(outcomes, case):
    assert outcomes[0][case] == PARAMETERS


@pytest.mark.parametrize("repository", ["team/breaking", "team/breaking-model"])
def test_an_interrupted_download_goes_on_where_it_broke_off(outcomes, repository):
    long = re.compile(r"jsonl|model\.safetensors")
    downloads = [r for r in outcomes[2][repository] if r[0] == "GET" and long.search(r[1])]
    assert [part is None for _, _, part in downloads] == [True, False]
    start = int(downloads[1][2].removeprefix("bytes=").split("-")[0])
    assert start >= 10 * MEGABYTE


@pytest.mark.parametrize("repository", ["team/busy", "team/busy-model"])
def test_a_busy_hub_is_asked_again(outcomes, repository):
    statuses = [path for method, path, _ in outcomes[2][repository] if method == "HEAD"]
    assert len(statuses) - len(set(statuses)) >= 2


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("gated", "team/gated at 0123"),
        ("gated", "gated: accept its terms"),
        ("refused", "gated: accept its terms"),
        ("private", "not on the hub, or private: check the id"),
        ("missing", "not on the hub, or private: check the id"),
        ("revision", "this revision does not exist on the hub"),
        ("split", 'Unknown split "train"'),
        ("fewer", "5 problems, the register expects 6"),
        ("other", f"the register expects {'0' * 64}"),
        ("column", "no column 'problems'; did you mean 'problem'?"),
        ("team/configurations", "give one of its configurations, as team/configurations:easy; it"),
        ("team/configurations:middle", "it has easy, hard"),
        ("team/splits::other", "team/splits::other: no split 'other'; it has "),
        ("team/gated", "team/gated: gated: accept its terms"),
        ("team/no-such-data", "not on the hub, or private: check the id"),
        ("team/aggregated", "the hub is busy, or your limit for today is reached; run it again"),
        ("team/chats", "none of the columns problem, question, problem_text"),
        ("https://hub/datasets/team/good", "a dataset of the hub is OWNER/NAME[:CONFIG"),
        ("team/good:default:test:more", "a dataset of the hub is OWNER/NAME[:CONFIG"),
        ("gated-model", "gated: accept its terms"),
        ("missing-model", "not on the hub, or private: check the id"),
        ("gated-weights", "gated: accept its terms"),
        ("missing-weights", "not on the hub, or private: check the id"),
        ("revision-weights", "this revision does not exist on the hub"),
        ("short-weights", "the download came out too short or too long; run it again"),
        ("garbled-weights", "damaged weights: Error while deserializing header"),
        ("garbled-weights", "remove its folder from HF_HOME"),
        ("pickle-weights", "does not appear to have a file named model.safetensors"),
        ("check-pickle", "model.path: team/pickle-model: no *.safetensors file on the hub"),
        ("check-gated", "model.path: team/gated-model: no readable model: gated: accept its terms"),
        ("check-missing", "not on the hub, or private: check the id"),
        (
            "check-revision",
            "model.path: team/model: no readable model: this revision does not exist",
        ),
    ],
)
def test_what_is_wrong_is_said(outcomes, case, message):
    assert message in outcomes[0][case]


def test_a_models_pickle_is_never_fetched(outcomes):
    assert outcomes[0]["check"] == "llama"
    assert not any(".bin" in path for _, path, _ in outcomes[2]["team/pickle-model"])


def test_a_model_is_read_from_the_hub(outcomes):
    assert outcomes[0]["model"] == 3


def test_offline_what_was_read_before_is_read_without_asking(outcomes):
    names = ("good", "model", "weights", "shape")
    assert [outcomes[1][name] for name in names] == [5, 3, PARAMETERS, PARAMETERS]


def test_a_new_config_pins_the_commit_of_today(outcomes):
    assert [outcomes[0][name] for name in ("commit", "missing-commit")] == [COMMIT, None]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("team/splits", {"split": "train"}),
        ("team/splits:default:test", {}),
        ("team/splits::test", {}),
        ("team/good", {}),
        ("team/configurations:hard", {"name": "hard"}),
        ("team/default", {"name": "hard"}),
    ],
)
def test_a_new_config_takes_a_dataset_of_the_hub_as_it_is_today(outcomes, given, found):
    columns = {"problem": "problem", "answer": "answer", "extract": "plain"}
    hub = {"dataset": given.partition(":")[0], "revision": COMMIT, **found}
    assert outcomes[0][given] == {"hub": hub, **columns}


def test_a_bases_licence_is_read_from_its_card(outcomes):
    assert [outcomes[0][name] for name in ("licence", "missing-licence")] == ["mit", None]


def test_a_models_shape_is_read_from_the_hub_and_unknown_where_it_is_not_to_be_had(outcomes):
    names = ("shape", "missing-shape", "gated-shape")
    assert [outcomes[0][name] for name in names] == [PARAMETERS, None, None]


def test_a_hub_that_never_answers_does_not_hold_up_a_run(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub = f"http://127.0.0.1:{silent.getsockname()[1]}"
        cases = {"shape": {"shape": {"path": "team/model", "revision": COMMIT}}}
        assert run(cases, HF_ENDPOINT=hub, HF_HOME=str(tmp_path)) == {"shape": None}


@pytest.mark.parametrize("case", ["missing", "missing-weights"])
def test_offline_what_is_not_in_the_cache_is_an_error_that_says_so(outcomes, case):
    assert "not in the cache, and" in outcomes[1][case]
    assert "HF_HUB_OFFLINE is set" in outcomes[1][case]
