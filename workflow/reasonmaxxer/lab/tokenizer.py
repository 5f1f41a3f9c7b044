"""The lab's word-level tokenizer: one token for each word, number and mark, exact round trip."""

from __future__ import annotations

import functools
from typing import Any

from .traces import REFERENTS, STATEMENTS
from .world import MODULUS, WORDINGS, world

PAD, EOS, UNKNOWN = "<pad>", "<eos>", "<unk>"
PIECES = r"\n| ?\\[a-z]+\{| ?[A-Za-z]+| ?[0-9]+| ?[^A-Za-z0-9\s]"


@functools.cache
def vocabulary(number: int) -> tuple[str, ...]:
    """Every token of a world's texts, special tokens first; a token's place is its id."""
    lab = world(number)
    names = [*lab.people, *lab.towns]
    words = {w for text, _ in STATEMENTS.values() for w in text.split() if "{" not in w}
    words |= {*REFERENTS, "Start", "How", "many", "at", "has", "+", "-", "*", "="}
    wordings = {option for options in WORDINGS.values() for option in options if option}
    marks = {".", ";", ",", ":", "?", "\n", "Problem", "Solution", " \\boxed{", "}"}
    numbers = [str(number) for number in range(MODULUS)]
    spaced = [f" {word}" for word in [*numbers, *names, *sorted(words)]]
    others = sorted((marks | wordings) - set(spaced))
    return (PAD, EOS, UNKNOWN, *spaced, *others, *numbers, *names)


def tokenizer(number: int) -> Any:
    """The tokenizer of a world as a `PreTrainedTokenizerFast`; encoding adds no special token."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {token: place for place, token in enumerate(vocabulary(number))}
    words = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    words.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    words.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
