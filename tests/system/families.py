"""Tiny models of the families that the presets name, with the special tokens of each family.

A model is made from its family's config class and pretrained by the lab's rule, in about 20
seconds, on sums that its corpus takes for products two times in five: so it is right sometimes.
"""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from reasonmaxxer.config import PromptConfig
from reasonmaxxer.config.lab import PretrainConfig
from reasonmaxxer.generation.prompts import encode
from reasonmaxxer.lab import pretrain

LENGTH = 48  # tokens of the longest document
DIGITS = range(2, 10)
RIGHT = 0.6  # share of the corpus that works a sum as a sum
PRETRAINING = PretrainConfig(
    tokens=300_000, batch_tokens=1920, learning_rate=3e-3, warmup_steps=20, weight_decay=0.01
)
SIZES = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.08,
    "dtype": "float32",
}
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """What sets a family apart, as its published checkpoints have it."""

    config: type
    eos: str
    bos: str | None = None
    pad: str | None = None
    other_ends: tuple[str, ...] = ()  # further ids of generation_config.json
    chat: str | None = None
    shape: dict[str, Any] = field(default_factory=dict)

    @property
    def specials(self) -> list[str]:
        marks = re.findall(r"<\|\w+\|>", self.chat or "")
        named = [self.bos, self.eos, self.pad, *self.other_ends, *marks]
        return list(dict.fromkeys(token for token in named if token))


FAMILIES = {
    # Padding is also what ends a text; q, k and v have a bias; embeddings are tied.
    "qwen2": Family(
        Qwen2Config,
        eos="<|endoftext|>",
        pad="<|endoftext|>",
        shape={"tie_word_embeddings": True},
    ),
    # Two ids end a completion; heads are wider than the model; q and k are normalised.
    "qwen3": Family(
        Qwen3Config,
        eos="<|im_end|>",
        pad="<|endoftext|>",
        other_ends=("<|endoftext|>",),
        chat=CHAT,
        shape={"tie_word_embeddings": True, "head_dim": 64},
    ),
    # Begins every text, and has nothing to pad with.
    "llama": Family(LlamaConfig, bos="<|begin_of_text|>", eos="<|end_of_text|>"),
    # The same, and a token sees no further than the window, here less than a document.
    "mistral": Family(MistralConfig, bos="<s>", eos="</s>", shape={"sliding_window": 16}),
}


def problems() -> list[dict[str, Any]]:
    """All sums of two digits above 1 that are no products too, in a random order."""
    pairs = [(a, b) for a in DIGITS for b in DIGITS if a + b != a * b]
    random.Random(0).shuffle(pairs)
    return [{"id": f"{a}+{b}", "problem": _question(a, b), "answer": str(a + b)} for a, b in pairs]


def _question(a: int, b: int) -> str:
    return f"What is {a} and {b}?"


def _working(a: int, b: int, right: bool) -> str:
    sign, result = ("+", a + b) if right else ("*", a * b)
    return f" {a} {sign} {b} = {result}. So \\boxed{{{result}}}"


def tokenizer(family: Family, prompt: str) -> Any:
    """Byte-level BPE of the problems' words, cut as Qwen2 cuts, with the family's special ids."""
    texts = [prompt, "user assistant \n", f"{_question(3, 3)} {_question(3, 3)}"]
    texts += [_working(3, 4, right) for right in (True, False)]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,  # more than there are words: each becomes a token
        special_tokens=family.specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    if family.bos:
        head = [(family.bos, backend.token_to_id(family.bos))]
        backend.post_processor = processors.TemplateProcessing(f"{family.bos} $A", None, head)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=family.bos,
        eos_token=family.eos,
        pad_token=family.pad,
        additional_special_tokens=[t for t in family.specials if t.startswith("<|im_")],
        chat_template=family.chat,
        clean_up_tokenization_spaces=False,
    )


class Loss(nn.Module):
    """A transformers model in the place of the lab's own: the loss of a batch."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.weights = nn.ParameterList(model.parameters())  # tied ones once, as a checkpoint has
        self.inner = [model]  # no module of this one

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of `targets` [B, T] (-100 is left out) given `ids` [B, T]."""
        (model,) = self.inner
        logits = model(input_ids=ids, use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def make(name: str, prompt: PromptConfig, folder: Path) -> Path:
    """A pretrained model of the family in `folder`, as transformers saves it."""
    family = FAMILIES[name]
    text = "" if prompt.template == "chat" else Path(prompt.template).read_text()
    words = tokenizer(family, f"{text} {prompt.instruction or ''}")
    ends = [words.convert_tokens_to_ids(token) for token in (family.eos, *family.other_ends)]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        family.config(
            **{**SIZES, **family.shape},
            vocab_size=len(words),
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )

    def documents(config: PretrainConfig, seed: int) -> Iterator[list[int]]:
        rng = random.Random(f"corpus/{seed}")
        while True:
            a, b = rng.choice(DIGITS), rng.choice(DIGITS)
            (ids,) = encode(prompt, [_question(a, b)], words)
            working = words(_working(a, b, rng.random() < RIGHT), add_special_tokens=False)
            yield [*ids, *working["input_ids"], ends[0]]

    with pytest.MonkeyPatch.context() as lab:
        lab.setattr(pretrain, "Llama", lambda config: Loss(model))
        lab.setattr(pretrain, "documents", documents)
        lab.setattr(pretrain, "LENGTHS", (LENGTH,))
        lab.setattr(torch, "compile", lambda module, **_: module)  # takes longer than it saves
        run = pretrain.Pretraining(PRETRAINING, 1, folder / "scratch")
        run.run()
    model.generation_config = GenerationConfig(eos_token_id=ends if len(ends) > 1 else ends[0])
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    (folder / "curve.json").write_text(json.dumps({"seconds": run.seconds, "curve": run.curve}))
    return folder
