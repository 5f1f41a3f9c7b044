"""Prompts: from a problem's text to token ids, and from sampled ids back to a completion's text.

One prompt and one way of ending a completion serve base, baselines and adapters alike
(METHOD.md, section 2). The tokens are made here once and carried from then on: nothing
downstream tokenises text again.
"""

from __future__ import annotations

import bisect
from pathlib import Path
from typing import Any

from ..config import ModelConfig, PromptConfig
from ..datasets.sources import check_place
from ..errors import UserError, hub_error

PLACEHOLDER = "{problem}"
PROJECT = Path(__file__).resolve().parents[3]


def load_tokenizer(model: ModelConfig) -> Any:
    """The model's tokenizer. Raises `UserError` when the folder or hub id cannot be read."""
    from transformers import AutoTokenizer

    check_place(model.path)
    try:
        return AutoTokenizer.from_pretrained(
            model.path, revision=model.revision, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        reason = hub_error(error)
        raise UserError(f"model.path: {model.path}: no tokenizer can be read: {reason}") from error


def render(prompt: PromptConfig, problem: str, tokenizer: Any) -> str:
    """The prompt's text: the template with the problem in it, or one user turn of a chat."""
    if prompt.template != "chat":
        return template_text(prompt.template).replace(PLACEHOLDER, problem, 1)
    if not tokenizer.chat_template:
        raise UserError(
            "prompt.template: chat: this model's tokenizer has no chat template (a base model?); "
            "name a file of config/prompts/ instead"
        )
    content = f"{problem}\n{prompt.instruction}" if prompt.instruction else problem
    turns = [{"role": "user", "content": content}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return str(text)


def encode(prompt: PromptConfig, problems: list[str], tokenizer: Any) -> list[list[int]]:
    """Token ids of each problem's prompt.

    The beginning-of-sequence id stands in front exactly once if the tokenizer adds one, whether
    or not the text already spells it. No end-of-sequence id follows.
    """
    return encode_texts([render(prompt, problem, tokenizer) for problem in problems], tokenizer)


def encode_texts(texts: list[str], tokenizer: Any) -> list[list[int]]:
    """Token ids of each text as it stands, with the beginning-of-sequence id as in `encode`."""
    if not texts:
        return []
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    head = _bos(tokenizer)
    return [ids if ids[: len(head)] == head else [*head, *ids] for ids in encoded]


def template_text(path: str) -> str:
    """A template file's text without the newline that editors put at its end.

    A path that is not found from the working directory is tried from the project's root.
    """
    places = [Path(path), PROJECT / path]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise UserError(f"{path}: no such file; see config/prompts/, or use chat")
    text = file.read_text(encoding="utf-8").removesuffix("\n")
    if text.count(PLACEHOLDER) != 1:
        raise UserError(
            f"{path}: a template holds {PLACEHOLDER} exactly once, "
            f"found {text.count(PLACEHOLDER)} times"
        )
    return text


def eos_token_ids(model: ModelConfig, tokenizer: Any) -> list[int]:
    """Every id that ends a completion: those of generation_config.json and the tokenizer's own."""
    from transformers import GenerationConfig

    try:
        listed = GenerationConfig.from_pretrained(model.path, revision=model.revision).eos_token_id
    except (OSError, ValueError):  # base models often come without generation_config.json
        listed = None
    ids = listed if isinstance(listed, list) else [listed]
    return sorted({int(i) for i in [*ids, tokenizer.eos_token_id] if i is not None})


def stop_ids(prompt: PromptConfig, tokenizer: Any) -> tuple[list[int], list[str]]:
    """The prompt's stop strings as (ids, strings).

    One that is a single special token, such as `<|im_end|>`, is an id: decoding leaves special
    tokens out, so it would never be seen in the text.
    """
    special = {str(t): i for i, t in tokenizer.added_tokens_decoder.items() if t.special}
    ids = [special[stop] for stop in prompt.stop if stop in special]
    return ids, [stop for stop in prompt.stop if stop not in special]


def decode(token_ids: list[int], tokenizer: Any) -> str:
    """The text of sampled ids, special tokens left out and blanks as they are."""
    text = tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text)


def trim_stop(token_ids: list[int], tokenizer: Any, stop: list[str]) -> tuple[list[int], str]:
    """The ids up to the first stop string, and their text, such that decode(ids) == text.

    A token that holds the stop string's beginning together with text before it goes too.
    """
    text = decode(token_ids, tokenizer)
    found = [text.index(s) for s in stop if s in text]
    if not found:
        return list(token_ids), text
    wanted = text[: min(found)]
    size = bisect.bisect_right(
        range(len(token_ids) + 1),
        len(wanted),
        key=lambda n: len(decode(token_ids[:n], tokenizer)),
    )
    for end in range(size, -1, -1):
        kept = decode(token_ids[:end], tokenizer)
        if wanted.startswith(kept):
            return list(token_ids[:end]), kept
    return [], ""


def _bos(tokenizer: Any) -> list[int]:
    """The ids that the tokenizer puts in front of a text by itself: [] or [bos]."""
    bos = tokenizer.bos_token_id
    return [bos] if bos is not None and tokenizer("1")["input_ids"][:1] == [bos] else []
