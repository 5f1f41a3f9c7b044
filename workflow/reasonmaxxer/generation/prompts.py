"""Prompts: from a problem's text to token ids, and from sampled ids back to a completion's text.

One prompt and one way of ending a completion serve base, baselines and adapters alike. The tokens
are made here once and carried from then on: nothing downstream tokenises text again.
"""

import bisect
from pathlib import Path
from typing import Any

from ..config import ModelConfig, PromptConfig
from ..datasets.sources import check_place
from ..errors import UserError, hub_error, time_limit, unreadable

PLACEHOLDER = "{problem}"
CHAT_SECONDS = 5.0  # most time that a chat template may take for one prompt
CHAT_CHARACTERS = 100_000  # most text that it may put around a problem
PROJECT = Path(__file__).resolve().parents[3]


def load_tokenizer(model: ModelConfig) -> Any:
    """The model's tokenizer.

    Raises:
        UserError: if the folder or hub id holds none that can be read.
    """
    from transformers import AutoTokenizer

    check_place(model.path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            model.path, revision=model.revision, trust_remote_code=False
        )
        tokenizer("1")  # some mistakes in its files are seen only now
    except Exception as error:  # whatever the libraries raise for files that are not sound
        raise unreadable(model.path, "no tokenizer can be read", error) from error
    return tokenizer


def render(prompt: PromptConfig, problem: str, tokenizer: Any) -> str:
    """The prompt's text: the template with the problem in it, or one user turn of a chat."""
    if prompt.template != "chat":
        return template_text(prompt.template).replace(PLACEHOLDER, problem, 1)
    if not tokenizer.chat_template:
        raise UserError(
            "prompt.template: chat: this model's tokenizer has no chat template (a base model?); "
            "use a file of config/prompts/ instead"
        )
    content = f"{problem}\n{prompt.instruction}" if prompt.instruction else problem
    turns = [{"role": "user", "content": content}]
    text = chat_text(turns, tokenizer, add_generation_prompt=True)
    if len(text) - len(content) > CHAT_CHARACTERS:
        raise UserError(
            f"prompt.template: chat: the model's chat template makes {len(text):,} characters of "
            "one problem; use a file of config/prompts/ instead"
        )
    if problem.strip() not in text:
        raise UserError(
            "prompt.template: chat: the model's chat template leaves the problem's text out of the "
            "prompt; use a file of config/prompts/ instead"
        )
    return text


def chat_text(turns: list[dict[str, str]], tokenizer: Any, **options: Any) -> str:
    """The turns in the model's chat template, which is a program of the model's makers.

    Raises `UserError` with its own words if it fails, or has not ended after `CHAT_SECONDS`.
    """
    try:
        with time_limit(CHAT_SECONDS):
            return str(tokenizer.apply_chat_template(turns, tokenize=False, **options))
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"prompt.template: chat: the model's chat template fails: {reason[0]}; name a file of "
            "config/prompts/ instead"
        ) from error


def prompt_end(prompt: PromptConfig, model: ModelConfig) -> str:
    """How every prompt ends behind the problem: some templates open a model's thinking there."""
    tokenizer = load_tokenizer(model) if prompt.template == "chat" else None
    return render(prompt, "", tokenizer)[-200:]


def encode(prompt: PromptConfig, problems: list[str], tokenizer: Any) -> list[list[int]]:
    """Token ids of each problem's prompt.

    What the tokenizer puts in front of a text (a beginning-of-sequence id, or several) stands
    there exactly once, whether or not the text already spells it. No end-of-sequence id follows.
    """
    return encode_texts([render(prompt, problem, tokenizer) for problem in problems], tokenizer)


def encode_texts(texts: list[str], tokenizer: Any) -> list[list[int]]:
    """Token ids of each text as it stands, with the leading ids as in `encode`."""
    if not texts:
        return []
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    head = _leading_ids(tokenizer)
    return [ids if ids[: len(head)] == head else [*head, *ids] for ids in encoded]


def template_text(path: str) -> str:
    """A template file's text without the newline that editors put at its end.

    A path that is not found from the working directory is tried from the project's root.
    """
    places = [Path(path), PROJECT / path]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise UserError(f"{path}: no such file; see config/prompts/, or use chat")
    try:
        text = file.read_text(encoding="utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: not UTF-8; save the file as UTF-8") from error
    if f"{{{PLACEHOLDER}}}" in text:
        raise UserError(
            f"{path}: {{{PLACEHOLDER}}} has two pairs of braces, as in Jinja, of which one would "
            f"stay in the prompt; write {PLACEHOLDER}"
        )
    if text.count(PLACEHOLDER) != 1:
        raise UserError(
            f"{path}: a template must contain {PLACEHOLDER} exactly once, "
            f"found {text.count(PLACEHOLDER)} times"
        )
    return text


def eos_token_ids(model: ModelConfig, tokenizer: Any) -> list[int]:
    """Every id that ends a completion: those of generation_config.json and the tokenizer's own.

    Raises `UserError` if the file is there and damaged: its ids would be lost.
    """
    from transformers import GenerationConfig

    file = f"{model.path}/generation_config.json"
    try:
        listed = GenerationConfig.from_pretrained(model.path, revision=model.revision).eos_token_id
    except Exception as error:  # whatever the library raises for a file that is not sound
        if isinstance(error, OSError) and "valid JSON" not in str(error):
            listed = None  # base models often come without it
        else:
            raise UserError(
                f"{file}: cannot be read: {hub_error(error)}; correct it, or copy it again"
            ) from error
    ids = listed if isinstance(listed, list) else [listed]
    for i in ids:
        if i is not None and (isinstance(i, bool) or not isinstance(i, int) or i < 0):
            raise UserError(f"{file}: eos_token_id: {i!r} is not a token id (a whole number)")
    return sorted({i for i in [*ids, tokenizer.eos_token_id] if i is not None})


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


def _leading_ids(tokenizer: Any) -> list[int]:
    """The ids that the tokenizer puts in front of a text by itself: none, [bos], GLM's two, ..."""
    whole = tokenizer("1")["input_ids"]
    plain = tokenizer("1", add_special_tokens=False)["input_ids"]
    starts = range(len(whole) - len(plain) + 1)
    start = next((i for i in starts if whole[i : i + len(plain)] == plain), 0)
    return list(whole[:start])
