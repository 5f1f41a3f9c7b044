"""Stage `interventions`: greedy text with tokens put in at chosen positions (Fig. 2).

Base and teacher read the same growing text, each with its own KV cache. At temperature 0 the
oracle's text is the teacher's own by construction; the interventions that could fail are the
others. With a limit to the tokens put in they tell how few make the difference, in both directions
(arXiv 2603.22446): the teacher's tokens in the base's text, and the base's in the teacher's.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from .. import tables
from ..config import FootprintConfig, ModelConfig, PromptConfig
from ..generation.engine import Prompt
from ..generation.prompts import (
    decode,
    encode,
    eos_token_ids,
    load_tokenizer,
    prompt_end,
    stop_ids,
    trim_stop,
)
from ..generation.teacher import Pair, add_pair_arguments, entropies, pair_of
from ..modeling.base_model import Base
from ..modeling.batching import plan_batches
from ..modeling.packing import PADDING_ID
from ..tables.provenance import provenance

HELP = "decode the base greedily with a teacher's or random tokens at chosen positions"

# A step takes a GPU as long for many texts as for two, up to where their caches are read.
MOST_TEXTS = 128
CACHE_SHARE = 0.5  # of a GPU's free memory; the rest is for reading the prompts


@dataclass(frozen=True)
class Intervention:
    """`where` a token is decided for the `writer`, and `what` is put there.

    where: at no position; where the likeliest tokens of base and teacher differ; where the base's
    entropy exceeds tau; at random positions, as many as `gate` touched in the problem's text.
    what: the other model's likeliest token, or one drawn among the base's likeliest `top_tokens`.
    writer: the model that writes everything else.
    most: how many positions of a text are touched, the first ones; None: all.
    """

    where: Literal["nowhere", "disagreement", "gate", "random"]
    what: Literal["other", "random"] = "other"
    writer: Literal["base", "teacher"] = "base"
    most: int | None = None


WRITERS: tuple[Literal["base", "teacher"], ...] = ("base", "teacher")
# In this order: random positions are matched in number to those of the gate.
INTERVENTIONS = {
    "base": Intervention("nowhere"),
    "oracle": Intervention("disagreement"),
    "gate": Intervention("gate"),
    "random-positions": Intervention("random"),
    "oracle-random-token": Intervention("disagreement", "random"),
    "gate-random-token": Intervention("gate", "random"),
}


def curves(edits: Sequence[int]) -> dict[str, Intervention]:
    """Exchanging at most so many tokens of a text, in both directions."""
    return {
        f"{writer}+{most}": Intervention("disagreement", writer=writer, most=most)
        for writer in WRITERS
        for most in edits
    }


@dataclass(frozen=True)
class Settings:
    """What all interventions share."""

    tau: float
    top_tokens: int
    seed: int
    max_tokens: int
    ends: frozenset[int]
    stop: tuple[str, ...] = ()
    edits: tuple[int, ...] = ()


@dataclass
class Decoded:
    """A problem's text so far, and at which of its positions the intervention decided."""

    prompt: Prompt
    token_ids: list[int] = field(default_factory=list)
    touched: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    ended: bool = False


def uniform(seed: int, problem_id: str, position: int) -> float:
    """A number in [0, 1) that depends on nothing else, so that batches cannot change a draw."""
    digest = hashlib.sha256(f"{seed}:{problem_id}:{position}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)


def random_positions(seed: int, problem_id: str, count: int, length: int) -> frozenset[int]:
    """`count` of the positions 0 .. length - 1 of a problem's text: the smallest by `uniform`."""
    return frozenset(
        sorted(range(length), key=lambda position: uniform(seed, problem_id, position))[:count]
    )


@torch.inference_mode()
def decode_all(
    pair: Pair,
    prompts: Sequence[Prompt],
    settings: Settings,
    tokenizer: Any = None,
    batch_tokens: int = 16384,
) -> Iterator[tuple[str, list[Decoded]]]:
    """Greedy texts under each intervention (Fig. 2), and under the curves of `settings.edits`.

    Args:
        pair: base and teacher.
        prompts: one a problem.
        settings: threshold, draws and ends.
        tokenizer: to look for stop strings; not needed without them.
        batch_tokens: on a CPU, most tokens of a batch, a text counting with its full length.

    Returns:
        Each intervention's name and the texts it leads to, in the order of the prompts.
    """
    lengths = [len(prompt.token_ids) + settings.max_tokens for prompt in prompts]
    least = 0
    if pair.base.device.type == "cuda":  # where padding costs less than another batch
        free, _ = torch.cuda.mem_get_info(pair.base.device)
        kept = sum(_Cached(model, [[PADDING_ID]]).nbytes for model in (pair.base, pair.teacher))
        batch_tokens = least = cached_tokens(free, kept, max(lengths))
    batches = plan_batches(lengths, batch_tokens, least)
    gated: dict[str, frozenset[int]] = {}
    for name, intervention in {**INTERVENTIONS, **curves(settings.edits)}.items():
        found: dict[int, Decoded] = {}
        for batch in tqdm(batches, desc=name, unit="batch", file=sys.stderr):
            texts = [Decoded(prompts[i]) for i in batch]
            _Batch(pair, texts, intervention, settings, gated, tokenizer).run()
            found |= dict(zip(batch, texts, strict=True))
        texts = [found[i] for i in range(len(prompts))]
        if name == "gate":
            gated = {
                text.prompt.problem_id: random_positions(
                    settings.seed,
                    text.prompt.problem_id,
                    len(text.touched),
                    len(text.token_ids),
                )
                for text in texts
            }
        yield name, texts


def cached_tokens(free: int, token_bytes: int, longest: int) -> int:
    """Tokens whose keys and values are kept at once on a GPU.

    Args:
        free: bytes of its memory that nothing uses.
        token_bytes: what both models keep of a token.
        longest: tokens of the longest text.

    Returns:
        Those of at most 128 texts.
    """
    return min(int(CACHE_SHARE * free) // token_bytes, MOST_TEXTS * longest)


class _Batch:
    """Texts that grow together until each has ended."""

    def __init__(
        self,
        pair: Pair,
        texts: Sequence[Decoded],
        intervention: Intervention,
        settings: Settings,
        chosen: Mapping[str, frozenset[int]],
        tokenizer: Any,
    ) -> None:
        self._intervention, self._settings = intervention, settings
        self._chosen, self._tokenizer = chosen, tokenizer
        self._active = list(texts)
        prompts = [text.prompt.token_ids for text in texts]
        writer, other = pair.base, pair.teacher
        if intervention.writer == "teacher":
            writer, other = other, writer
        self._writer = _Cached(writer, prompts)
        alone = intervention.where == "nowhere"
        self._other = None if alone else _Cached(other, prompts)

    def run(self) -> None:
        for position in range(self._settings.max_tokens):
            tokens = self._next_tokens(position)
            for text, token in zip(self._active, tokens, strict=True):
                text.token_ids.append(token)
                text.ended = self._has_ended(text.token_ids)
            kept = [row for row, text in enumerate(self._active) if not text.ended]
            if not kept or position + 1 == self._settings.max_tokens:
                return
            self._active = [self._active[row] for row in kept]
            if all(map(self._is_done, self._active)):
                self._other = None
            for model in filter(None, (self._writer, self._other)):
                model.push([tokens[row] for row in kept], kept)

    def _next_tokens(self, position: int) -> list[int]:
        logits = self._writer.logits()
        own = logits.argmax(-1)
        if self._other is None:
            return own.tolist()
        others = self._other.logits().argmax(-1)
        touched = self._touched(position, logits, own, others)
        put = others.tolist()
        if self._intervention.what == "random":
            put = self._random_tokens(position, logits)
        tokens = own.tolist()
        for row in touched.nonzero()[:, 0].tolist():
            text = self._active[row]
            if self._is_done(text):
                continue
            text.touched.append(position)
            if put[row] != tokens[row]:
                text.changed.append(position)
            tokens[row] = put[row]
        return tokens

    def _is_done(self, text: Decoded) -> bool:
        most = self._intervention.most
        return most is not None and len(text.touched) >= most

    def _touched(self, position: int, logits: Tensor, own: Tensor, others: Tensor) -> Tensor:
        if self._intervention.where == "disagreement":
            return own != others
        if self._intervention.where == "gate":
            return entropies(logits) > self._settings.tau
        drawn = [position in self._chosen[text.prompt.problem_id] for text in self._active]
        return torch.tensor(drawn)

    def _random_tokens(self, position: int, logits: Tensor) -> list[int]:
        count = min(self._settings.top_tokens, logits.shape[1])
        likeliest = logits.topk(count).indices.tolist()
        return [
            ids[int(count * uniform(self._settings.seed, text.prompt.problem_id, position))]
            for ids, text in zip(likeliest, self._active, strict=True)
        ]

    def _has_ended(self, token_ids: list[int]) -> bool:
        if token_ids[-1] in self._settings.ends:
            return True
        if not self._settings.stop:
            return False
        # A token has a character or more, save the pieces of one: the tail is long enough.
        tail = token_ids[-8 - max(map(len, self._settings.stop)) :]
        return any(stop in decode(tail, self._tokenizer) for stop in self._settings.stop)


class _Cached:
    """A model that has read a batch of left-padded texts and can read one token more of each."""

    def __init__(self, model: Base, prompts: Sequence[Sequence[int]]) -> None:
        from transformers import DynamicCache

        model.model.set_attn_implementation("sdpa")  # which knows padding, as packing need not
        self._model = model
        self._cache = DynamicCache(config=model.model.config)
        width = max(map(len, prompts))
        padding = [width - len(prompt) for prompt in prompts]
        ids = [[PADDING_ID] * n + list(p) for n, p in zip(padding, prompts, strict=True)]
        columns = torch.arange(width, device=model.device)
        self._starts = torch.tensor(padding, device=model.device)
        self._mask = (columns >= self._starts[:, None]).long()
        self._read(torch.tensor(ids, device=model.device), columns - self._starts[:, None])

    def logits(self) -> Tensor:
        """Float32 logits [B, V] of each text's next token."""
        return self._model.head.logits(self._last)

    @property
    def nbytes(self) -> int:
        """What keys and values of the batch take."""
        return sum(x.nbytes for layer in self._cache.layers for x in (layer.keys, layer.values))

    def push(self, tokens: Sequence[int], rows: Sequence[int]) -> None:
        """Keep these rows of the batch and read a token more of each."""
        if len(rows) < len(self._starts):
            kept = torch.tensor(rows, device=self._model.device)
            self._cache.batch_select_indices(kept)
            self._mask, self._starts = self._mask[kept], self._starts[kept]
        self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], 1)
        places = self._mask.shape[1] - 1 - self._starts[:, None]
        self._read(torch.tensor(tokens, device=self._model.device)[:, None], places)

    def _read(self, ids: Tensor, places: Tensor) -> None:
        output = self._model.model.base_model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=places.clamp(min=0),
            past_key_values=self._cache,
            use_cache=True,
        )
        self._last = output.last_hidden_state[:, -1]


# --- the command ------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--problems", required=True, type=Path, help="table of problems")
    parser.add_argument("--prompt", required=True, help="config section `prompt`, as JSON")
    parser.add_argument("--config", required=True, help="config section `footprint`, as JSON")
    parser.add_argument(
        "--max-tokens", required=True, type=int, help="maximum number of tokens in a text"
    )
    add_pair_arguments(parser)
    parser.add_argument("--out", required=True, type=Path, help="table `decoded` to write")


def main(args: argparse.Namespace) -> None:
    config = FootprintConfig.from_json(args.config)
    prompt = PromptConfig.from_json(args.prompt)
    model = ModelConfig.from_json(args.model_config)
    tokenizer = load_tokenizer(model)
    rows = list(islice(tables.rows(args.problems, "problems"), config.problems))
    encoded = encode(prompt, [row["problem"] for row in rows], tokenizer)
    prompts = [Prompt(row["problem_id"], ids) for row, ids in zip(rows, encoded, strict=True)]
    ids, strings = stop_ids(prompt, tokenizer)
    assert config.tau is not None  # the plan puts selection.tau there
    settings = Settings(
        tau=config.tau,
        top_tokens=config.top_tokens,
        seed=config.seed,
        max_tokens=args.max_tokens,
        ends=frozenset([*eos_token_ids(model, tokenizer), *ids]),
        stop=tuple(strings),
        edits=tuple(config.edits),
    )
    pair, files = pair_of(args)
    made_by = provenance(
        "interventions", config.model_dump(mode="json"), [args.problems, *files], config.seed
    )
    made_by["prompt_end"] = prompt_end(prompt, model)
    with tables.open_writer(args.out, "decoded", made_by) as writer:
        for name, texts in decode_all(pair, prompts, settings, tokenizer, args.batch_tokens):
            writer.write([_row(name, text, prompt, tokenizer) for text in texts])


def _row(name: str, text: Decoded, prompt: PromptConfig, tokenizer: Any) -> dict[str, Any]:
    kept, written = trim_stop(text.token_ids, tokenizer, list(prompt.stop))
    return {
        "intervention": name,
        "problem_id": text.prompt.problem_id,
        "prompt_token_ids": text.prompt.token_ids,
        "token_ids": kept,
        "finish_reason": "stop" if text.ended else "length",
        "text": written,
        **{
            key: [position for position in getattr(text, key) if position < len(kept)]
            for key in ("touched", "changed")
        },
    }
