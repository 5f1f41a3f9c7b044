"""Files of a run that are no tables: damaged or another's, each is named with its remedy."""

import json

import pytest
import torch
from safetensors.torch import save_file

from reasonmaxxer.errors import UserError
from reasonmaxxer.tables.artefacts import check_adapter, open_tensors, read_json

LORA = {
    "base_model.model.q_proj.lora_A.weight": torch.zeros(4, 8),
    "base_model.model.q_proj.lora_B.weight": torch.zeros(8, 4),
}


@pytest.fixture
def adapter(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4}))
    save_file(LORA, tmp_path / "adapter_model.safetensors")
    return tmp_path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "not a readable JSON file"),
        (b'{"chosen": 1, "check', "not a readable JSON file"),
        (b"\xff\xfe", "not a readable JSON file"),
        (b"[1]", "'chosen' is missing"),
        (b'{"other": 1}', "'chosen' is missing"),
    ],
)
def test_a_json_file_that_is_not_sound_is_named(tmp_path, content, message):
    path = tmp_path / "checkpoint.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_json(path, "chosen")
    assert message in str(caught.value)
    assert f"snakemake --cores all --force {path}" in str(caught.value)


def test_a_sound_adapter_has_its_rank(adapter):
    assert check_adapter(adapter) == 4


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), "not a readable safetensors file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "not a readable safetensors file"),
        (lambda path: path.write_bytes(bytes(range(256))), "not a readable safetensors file"),
        (lambda path: save_file({"weight": torch.zeros(2)}, path), "holds no LoRA adapter"),
        (
            lambda path: save_file({name: torch.zeros(2, 2) for name in LORA}, path),
            "is of rank 2, expected 4",
        ),
    ],
)
def test_an_adapter_that_is_not_sound_is_named(adapter, damage, message):
    path = adapter / "adapter_model.safetensors"
    damage(path)
    with pytest.raises(UserError) as caught:
        check_adapter(adapter)
    assert message in str(caught.value)
    assert f"snakemake --cores all --force {path}" in str(caught.value)


def test_unfinished_work_is_removed_instead_of_made_again(tmp_path):
    path = tmp_path / "scratch" / "state.safetensors"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="remove it, and run the same command again"):
        open_tensors(path, "random")
