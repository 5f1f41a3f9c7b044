"""Chat templates: does what closes an assistant's turn also end a completion?"""

from typing import Any

from ..config import ModelConfig, PromptConfig
from ..errors import UserError
from .prompts import chat_text, eos_token_ids

ANSWER = "It is 42."
TURNS = [{"role": "user", "content": "What is 6 * 7?"}, {"role": "assistant", "content": ANSWER}]


def not_closed(model: ModelConfig, prompt: PromptConfig, tokenizer: Any) -> str | None:
    """Why an answer to a chat prompt would run on; None if the closing of its turn ends it.

    Base models often carry the template of their chat siblings (Qwen2.5, Qwen3), but end a text
    with another token than a turn: asked in turns, they write until the limit.
    """
    try:
        text = chat_text(TURNS, tokenizer)
    except UserError:  # asked for with one turn, it may do; if not, rendering a prompt says why
        return "it cannot be rendered with an assistant's turn"
    closing = text.rpartition(ANSWER)[2]
    if any(stop in closing for stop in prompt.stop):
        return None
    ends = eos_token_ids(model, tokenizer)
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids = tokenizer(closing, add_special_tokens=False)["input_ids"]
    closes = next((i for i in ids if i in special or i in ends), None)
    if closes is None:
        return "no token closes the assistant's turn in it"
    if closes in ends:
        return None
    closing, *others = tokenizer.convert_ids_to_tokens([closes, *ends])
    return f"{closing} closes the assistant's turn in it, and a text ends at {', '.join(others)}"
