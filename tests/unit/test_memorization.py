"""The stage `memorization` with a real engine: a model knows by heart what it writes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import torch
from reference import save_tiny

from reasonmaxxer import __main__, tables
from reasonmaxxer.config import MemorizationConfig, ModelConfig

WORDS = synthetic.WORDS[2:17]  # words that read back as they were


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny(
        tmp_path_factory.mktemp("model"),
        vocab_size=len(synthetic.WORDS),
        eos_token_id=synthetic.EOS,
    )
    synthetic.save_tokenizer(folder)
    return folder


def continued(model: Path, text: str, tokens: int) -> list[str]:
    """The words that the model writes behind a text, the likeliest one each time."""
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(model).eval()
    ids = [synthetic.IDS[word] for word in text.split()]
    for _ in range(tokens):
        with torch.inference_mode():
            ids.append(int(network(torch.tensor([ids])).logits[0, -1].argmax()))
    return [synthetic.WORDS[token] for token in ids[-tokens:]]


def heads(model: Path, wanted: int) -> list[tuple[str, list[str]]]:
    """Beginnings of six words and the four that the model continues them with."""
    rng = np.random.default_rng(3)
    found = []
    while len(found) < wanted:
        head = " ".join(rng.choice(WORDS, 6))
        tail = continued(model, head, 4)
        if not {"<eos>", "<unk>"} & {*tail} and " ".join(tail).isascii():
            found.append((head, tail))
    return found


def test_only_problems_that_the_base_completes_verbatim_count(model: Path, tmp_path: Path) -> None:
    (a, known), (b, other) = heads(model, 2)
    changed = [*other[:-1], next(word for word in WORDS if word != other[-1])]
    texts = {
        "known": f"{a} {' '.join(known)}",
        "spaced": f"{a}  {'  '.join(known)} ",
        "changed": f"{b} {' '.join(changed)}",
        "short": WORDS[0],  # nothing to complete
    }
    rows = [
        {"problem_id": name, "problem": text, "answer": "1", "source": "", "level": ""}
        for name, text in texts.items()
    ]
    path, out = tmp_path / "suite.parquet", tmp_path / "memorization.json"
    tables.write(path, "problems", rows)
    config = ModelConfig(path=str(model), dtype="float32", max_length=64)
    __main__.main(
        [
            *("memorization", "--problems", str(path), "--model-config", config.as_json()),
            *("--config", MemorizationConfig(tail=0.4).as_json(), "--engine", "transformers"),
            *("--out", str(out)),
        ]
    )
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    assert found["benchmarks"] == {
        "suite": {"problems": 3, "completed": ["known", "spaced"]},
    }
