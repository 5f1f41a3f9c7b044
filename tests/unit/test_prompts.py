"""Prompts: ids that a model was made for, and completions whose ids decode to their text."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import GenerationConfig, PreTrainedTokenizerFast

from reasonmaxxer import tables
from reasonmaxxer.config import ModelConfig, PromptConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.generation.prompts import (
    decode,
    encode,
    eos_token_ids,
    load_tokenizer,
    render,
    stop_ids,
    template_text,
    trim_stop,
)
from reasonmaxxer.stages.rollouts import GenerationJob, load_prompts

SPECIAL = ["<bos>", "<eos>", "<|im_end|>"]
CHAT = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def byte_tokenizer(adds_bos=True, chat=CHAT):
    """Bytes and a few merges, so that tokens cut across words, stop strings and characters."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("H", "u"), ("Hu", "m"), ("Ċ", "Ċ"), ("ĊĊ", "Hum"), ("Ã", "©")]
    tokens = [*SPECIAL, *alphabet, *("".join(pair) for pair in merges)]
    backend = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    if adds_bos:
        backend.post_processor = processors.TemplateProcessing("<bos> $A", None, [("<bos>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<bos>",
        eos_token="<eos>",
        additional_special_tokens=["<|im_end|>"],
        chat_template=chat,
    )


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


@pytest.fixture
def template(tmp_path):
    def write(text):
        path = tmp_path / "t.txt"
        path.write_text(text, encoding="utf-8")
        return PromptConfig(template=str(path))

    return write


def test_the_problem_stands_in_the_template_literally(template, tokenizer):
    prompt = template("Q: {problem}\nA {x}:\n")
    assert render(prompt, "{problem} \\frac{1}{2} %s", tokenizer) == (
        "Q: {problem} \\frac{1}{2} %s\nA {x}:"
    )


def test_only_the_last_newline_of_a_template_is_dropped(template):
    assert template_text(template("{problem}\n\n").template) == "{problem}\n"


def test_prompt_and_completion_together_have_the_models_length(tmp_path, template, tokenizer):
    tokenizer.save_pretrained(tmp_path / "model")
    columns = ("problem_id", "problem", "answer", "source", "level")
    rows = [dict.fromkeys(columns, "x") | {"problem": text} for text in ("short", "x" * 40)]
    tables.write(tmp_path / "problems.parquet", "problems", rows)
    model = ModelConfig(path=str(tmp_path / "model"), max_length=50)
    given = (
        tmp_path / "problems.parquet",
        model,
        template("{problem}"),
        GenerationJob(max_tokens=20),
    )
    short, long = load_prompts(*given)
    assert short.max_tokens == 20
    assert len(long.token_ids) + long.max_tokens == 50 and long.max_tokens < 20


@pytest.mark.parametrize(("text", "times"), [("no place", 0), ("{problem} {problem}", 2)])
def test_a_template_needs_one_place_for_the_problem(template, tokenizer, text, times):
    with pytest.raises(UserError, match=f"exactly once, found {times} times"):
        render(template(text), "x", tokenizer)


def test_a_missing_template_is_an_error_with_its_name(tokenizer):
    with pytest.raises(UserError, match=r"nowhere\.txt: no such file"):
        render(PromptConfig(template="nowhere.txt"), "x", tokenizer)


@pytest.mark.parametrize("text", ["Q: {problem}", "<bos>Q: {problem}"])
def test_the_beginning_of_sequence_stands_in_front_exactly_once(template, tokenizer, text):
    (ids,) = encode(template(text), ["1"], tokenizer)
    assert ids[0] == 0
    assert ids.count(0) == 1
    assert ids.count(1) == 0


def test_a_tokenizer_without_a_beginning_of_sequence_adds_none(template):
    (ids,) = encode(template("Q: {problem}"), ["1"], byte_tokenizer(adds_bos=False))
    assert 0 not in ids


def test_a_tokenizer_may_put_several_ids_in_front(template):
    tokenizer = byte_tokenizer()
    front = [("<bos>", 0), ("<|im_end|>", 2)]
    both = processors.TemplateProcessing("<bos> <|im_end|> $A <eos>", None, [*front, ("<eos>", 1)])
    tokenizer.backend_tokenizer.post_processor = both
    for text in ("Q: {problem}", "<bos><|im_end|>Q: {problem}"):
        (ids,) = encode(template(text), ["1"], tokenizer)
        assert ids == [0, 2, *tokenizer("Q: 1", add_special_tokens=False)["input_ids"]]


def test_a_mark_of_byte_order_is_no_part_of_a_template(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"\xef\xbb\xbfQ: {problem}\r\n")
    assert template_text(str(tmp_path / "t.txt")) == "Q: {problem}"


def test_a_chat_prompt_ends_where_the_assistant_begins_with_one_bos(tokenizer):
    prompt = PromptConfig(instruction="Box it.")
    assert render(prompt, "1+1?", tokenizer) == "<bos><user>1+1?\nBox it.<assistant>"
    (ids,) = encode(prompt, ["1+1?"], tokenizer)
    assert ids.count(0) == 1


def test_a_model_without_a_chat_template_is_told_what_to_do():
    with pytest.raises(UserError, match=r"no chat template .*use a file of config/prompts/"):
        render(PromptConfig(), "x", byte_tokenizer(chat=None))


def test_all_ids_that_end_a_completion_are_known(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    model = ModelConfig(path=str(tmp_path))
    assert eos_token_ids(model, tokenizer) == [1]
    GenerationConfig(eos_token_id=[2, 5]).save_pretrained(tmp_path)
    assert eos_token_ids(model, load_tokenizer(model)) == [1, 2, 5]


def test_a_stop_string_that_is_a_special_token_is_an_id(tokenizer):
    prompt = PromptConfig(stop=["Human:", "<|im_end|>"])
    assert stop_ids(prompt, tokenizer) == ([2], ["Human:"])


@pytest.mark.parametrize(
    ("completion", "stop", "text"),
    [
        ("It is 5.", ["Human:"], "It is 5."),
        ("It is 5. Human: next", ["Human:"], "It is 5. "),
        ("It is 5.\n\nHuman: next", ["Human:"], "It is 5."),  # the newlines share a token with it
        ("5 é\n\nHuman:", ["é"], "5 "),
        ("Human: 5", ["Human:"], ""),
        ("a Assistant: b Human: c", ["Human:", "Assistant:"], "a "),
    ],
)
def test_a_stop_string_goes_from_text_and_ids_alike(tokenizer, completion, stop, text):
    ids = tokenizer(completion, add_special_tokens=False)["input_ids"]
    kept, found = trim_stop(ids, tokenizer, stop)
    assert found == text
    assert decode(kept, tokenizer) == text
    assert kept == ids[: len(kept)]


def test_the_end_of_sequence_id_stays_where_nothing_is_trimmed(tokenizer):
    ids = [*tokenizer("5", add_special_tokens=False)["input_ids"], 1]
    assert trim_stop(ids, tokenizer, ["Human:"]) == (ids, "5")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "Human:", "Hu", "\n\n", "é", "Assist", "ant:", "你"])),
    st.booleans(),
)
def test_what_is_left_never_holds_a_stop_string_and_decodes_to_its_text(parts, ended):
    tokenizer = TOKENIZER
    ids = tokenizer("".join(parts), add_special_tokens=False)["input_ids"] + [1] * ended
    for cut in {len(ids), len(ids) // 2}:  # sampled ids may end within a character
        kept, text = trim_stop(ids[:cut], tokenizer, ["Human:", "Assistant:"])
        assert decode(kept, tokenizer) == text
        assert "Human:" not in text
        assert "Assistant:" not in text


TOKENIZER = byte_tokenizer()


def test_a_folder_without_a_model_is_an_error_with_its_name(tmp_path):
    with pytest.raises(UserError, match="no tokenizer can be read"):
        load_tokenizer(ModelConfig(path=str(tmp_path)))
    with pytest.raises(UserError, match="neither an existing folder nor a valid Hugging Face id"):
        load_tokenizer(ModelConfig(path=str(tmp_path / "missing")))


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("qwen_boxed", "Solve", "\n\nProblem: 1+1?\n\nSolution:"),
        ("qwen_boxed_gsm8k", "Solve", "\n\n1+1?\n\nSolution:"),
        ("qwen_math", "<|im_start|>system\n", "1+1?<|im_end|>\n<|im_start|>assistant\n"),
        ("llama_abel", "Question:\n", "1+1?\nAnswer:\nLet's think step by step.\n"),
        ("chatml_examples", "<|im_start|>user\n", "1+1?<|im_end|>\n<|im_start|>assistant\n"),
    ],
)
def test_the_prompts_of_the_paper_begin_and_end_as_it_says(tokenizer, name, start, end):
    text = render(PromptConfig(template=f"config/prompts/{name}.txt"), "1+1?", tokenizer)
    assert text.startswith(start)
    assert text.endswith(end)
    assert ("boxed" in text) == (name not in ("qwen_boxed_gsm8k", "llama_abel"))


def test_encoding_many_is_encoding_each(template, tokenizer):
    prompt = template("Q: {problem}")
    texts = ["1", "22", "Human é"]
    each = itertools.chain.from_iterable(encode(prompt, [t], tokenizer) for t in texts)
    assert encode(prompt, texts, tokenizer) == list(each)
    assert encode(prompt, [], tokenizer) == []
