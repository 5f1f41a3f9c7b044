"""Pretraining of a lab base model: a tiny Llama on the generator's worked problems.

Documents are `prompt + worked solution + end of text`; the loss is on all of it. Matrices multiply
in bfloat16 where the processor is faster at it, and everything else, the weights included, is
float32. Killed at any moment, the same command goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import timeit
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from ..config.lab import LabSource, PretrainConfig
from ..tables.artefacts import open_tensors, save_tensors
from .generator import problems
from .tokenizer import EOS, PAD, tokenizer, vocabulary
from .traces import problem_tokens, work
from .world import world

HELP = "Pretrain a lab base model from a config section and a seed."
HEAD = 32  # width of an attention head
LENGTHS = (56, 80, 104, 128, 152, 176, 208)  # rows of a batch are padded to the next of these
CHUNK = 4096  # documents that are drawn, sorted by length and shuffled together
LOG_STEPS = 20
PROMPT = (("Problem", ":", " Start", ":"), ("\n", "Solution", ":"))


class Layer(nn.Module):
    """Weights of one transformer layer; query, key and value in one matrix, gate and up too."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.attention_norm = nn.Parameter(torch.ones(width))
        self.qkv = _matrix(3 * width, width, width)
        self.out = _matrix(width, width, width)
        self.mlp_norm = nn.Parameter(torch.ones(width))
        self.gate_up = _matrix(2 * inner, width, width)
        self.down = _matrix(width, inner, width)


class Llama(nn.Module):
    """The forward pass of `LlamaForCausalLM` with tied embeddings, arranged for one CPU core."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__()
        self.embedding = _matrix(len(vocabulary(config.world)), config.width, config.width)
        self.blocks = [Layer(config.width, config.intermediate) for _ in range(config.layers)]
        self.layers = nn.ModuleList(self.blocks)
        for layer in self.blocks:
            # What the layers add starts at zero and does not drown the embeddings: so the model
            # learns where to look in half the tokens (docs/lab.md).
            nn.init.zeros_(layer.out)
            nn.init.zeros_(layer.down)
        self.norm = nn.Parameter(torch.ones(config.width))
        angles = torch.outer(torch.arange(512.0), 1e4 ** (-torch.arange(0.0, HEAD, 2) / HEAD))
        self.register_buffer("cos", torch.cat([angles, angles], -1).cos())
        self.register_buffer("sin", torch.cat([angles, angles], -1).sin())
        self.products = _faster_type(config.width)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of `targets` [B, T] (-100 is left out) given `ids` [B, T]."""
        hidden = self.embedding[ids]
        for layer in self.blocks:
            hidden = hidden + self._attention(layer, _norm(hidden, layer.attention_norm))
            gate, up = self._times(_norm(hidden, layer.mlp_norm), layer.gate_up).chunk(2, -1)
            hidden = hidden + self._times(F.silu(gate) * up, layer.down).float()
        logits = self._times(_norm(hidden, self.norm), self.embedding).float()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def _attention(self, layer: Layer, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        qkv = self._times(x, layer.qkv).view(rows, length, 3, width // HEAD, HEAD)
        q, k, v = qkv.float().permute(2, 0, 3, 1, 4)
        q, k = self._rotate(q), self._rotate(k)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # pads are behind the text
        return self._times(mixed.transpose(1, 2).reshape(rows, length, width), layer.out).float()

    def _times(self, x: Tensor, matrix: Tensor) -> Tensor:
        return x.to(self.products) @ matrix.to(self.products).t()

    def _rotate(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, -1)
        length = x.shape[-2]
        return x * self.cos[:length] + torch.cat([-right, left], -1) * self.sin[:length]


def _matrix(rows: int, columns: int, width: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, columns) * width**-0.5)


def _norm(x: Tensor, gains: Tensor) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * gains


def _faster_type(width: int) -> torch.dtype:
    """The type in which this processor multiplies matrices of the model faster.

    Without units for bfloat16 it is thirty times slower than float32, with them four times faster.
    """

    def seconds(dtype: torch.dtype) -> float:
        left, right = torch.ones(1024, width, dtype=dtype), torch.ones(width, width, dtype=dtype)
        return min(timeit.repeat(lambda: left @ right, number=4, repeat=3))

    return min((torch.bfloat16, torch.float32), key=seconds)


def documents(config: PretrainConfig, seed: int) -> Iterator[list[int]]:
    """Endless documents as token ids, a fresh coin at every fork."""
    ids = {token: place for place, token in enumerate(vocabulary(config.world))}
    lab = world(config.world)
    rng = random.Random(f"corpus/{config.world}/{seed}")
    source = LabSource.model_validate({"world": config.world})
    for problem in problems("pretraining", seed, source):
        head, tail = PROMPT
        text = [*head, *problem_tokens(problem), *tail, *work(problem, lab, rng).tokens, EOS]
        yield [ids[token] for token in text]


def batches(config: PretrainConfig, seed: int, chunk: int) -> list[tuple[Tensor, Tensor]]:
    """The batches of one chunk of the corpus: inputs and targets [B, T], T one of `LENGTHS`."""
    stream = documents(config, seed * 1_000_000 + chunk)
    by_length: dict[int, list[list[int]]] = {length: [] for length in LENGTHS}
    for _, document in zip(range(CHUNK), stream, strict=False):
        if len(document) <= LENGTHS[-1]:  # a handful in ten thousand are longer
            by_length[next(n for n in LENGTHS if n >= len(document))].append(document)
    made = []
    for length, rows in by_length.items():
        size = config.batch_tokens // length
        made += [_pad(rows[i : i + size], length) for i in range(0, len(rows) - size + 1, size)]
    random.Random(f"order/{seed}/{chunk}").shuffle(made)
    return made


def _pad(rows: list[list[int]], length: int) -> tuple[Tensor, Tensor]:
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    targets = torch.full((len(rows), length), -100)
    for place, row in enumerate(rows):
        ids[place, : len(row) - 1] = torch.tensor(row[:-1])
        targets[place, : len(row) - 1] = torch.tensor(row[1:])
    return ids, targets


class Pretraining:
    """One run: model, optimiser, its place in the corpus, and its curve."""

    def __init__(self, config: PretrainConfig, seed: int, scratch: Path) -> None:
        torch.manual_seed(seed)
        self.config, self.seed, self.scratch = config, seed, scratch
        self.model = Llama(config)
        matrices = [p for p in self.model.parameters() if p.ndim == 2]
        vectors = [p for p in self.model.parameters() if p.ndim == 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            betas=(0.9, 0.98),
            fused=True,
        )
        self.step = self.tokens = self.chunk = 0
        self.seconds = 0.0
        self.curve: list[dict[str, float]] = []

    def run(self) -> None:
        """Train until the tokens of the config are spent, from the last checkpoint if any."""
        from tqdm import tqdm

        self._resume()
        loss_of = torch.compile(self.model, dynamic=False)
        bar = tqdm(total=self.config.tokens, initial=self.tokens, unit="tok", unit_scale=True)
        while self.tokens < self.config.tokens:
            started, losses = time.perf_counter(), []
            for ids, targets in batches(self.config, self.seed, self.chunk):
                before = self.tokens
                losses.append(self._update(loss_of, ids, targets))
                bar.update(self.tokens - before)
                if len(losses) == LOG_STEPS:
                    self._log(losses)
                    bar.set_postfix(loss=f"{self.curve[-1]['loss']:.4f}")
                if self.tokens >= self.config.tokens:
                    break
            self.seconds += time.perf_counter() - started
            self.chunk += 1
            self._checkpoint()
        bar.close()

    def _update(self, loss_of: Any, ids: Tensor, targets: Tensor) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        loss = loss_of(ids, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        self.tokens += int((targets >= 0).sum())
        return float(loss.detach())

    def _learning_rate(self) -> float:
        """Linear warm-up, then linear decay to zero by the tokens spent."""
        warm = min(1.0, (self.step + 1) / max(1, self.config.warmup_steps))
        return self.config.learning_rate * warm * max(0.0, 1 - self.tokens / self.config.tokens)

    def _log(self, losses: list[float]) -> None:
        mean = sum(losses) / len(losses)
        losses.clear()
        rate = self.optimiser.param_groups[0]["lr"]
        self.curve.append(
            {"step": self.step, "tokens": self.tokens, "loss": mean, "learning_rate": rate}
        )

    def _checkpoint(self) -> None:
        """Model, optimiser and place in the corpus in one file."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        for place, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{place}.{k}": v for k, v in state.items()}
        place = {k: getattr(self, k) for k in ("step", "tokens", "chunk", "seconds", "curve")}
        path = self.scratch / "checkpoint.safetensors"
        save_tensors(path, tensors, {"place": json.dumps(place), **self._run()})

    def _resume(self) -> None:
        path = self.scratch / "checkpoint.safetensors"
        if not path.exists():
            return
        with open_tensors(path) as file:
            metadata = file.metadata()
        if {key: metadata[key] for key in self._run()} != self._run():
            return  # another config or seed: start afresh
        tensors = load_file(path)
        model = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        self.model.load_state_dict(model)
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimiser."):
                _, number, name = key.split(".")
                state.setdefault(int(number), {})[name] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})
        vars(self).update(json.loads(metadata["place"]))

    def _run(self) -> dict[str, str]:
        return {"config": self.config.model_dump_json(), "seed": str(self.seed)}

    def export(self, folder: Path) -> None:
        """Write the model folder that transformers and vLLM load."""
        from transformers import LlamaForCausalLM

        words = tokenizer(self.config.world)
        model = LlamaForCausalLM(_llama_config(self.config, words))
        model.load_state_dict(_llama_state(self.model), strict=False)
        model.tie_weights()
        model.save_pretrained(folder)
        words.save_pretrained(folder)
        record = {
            "config": self.config.model_dump(),
            "seed": self.seed,
            "products": str(self.model.products).removeprefix("torch."),
            "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
            "steps": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "curve": self.curve,
        }
        (folder / "pretraining.json").write_text(json.dumps(record, indent=1) + "\n")


def _llama_config(config: PretrainConfig, words: Any) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(vocabulary(config.world)),
        hidden_size=config.width,
        intermediate_size=config.intermediate,
        num_hidden_layers=config.layers,
        num_attention_heads=config.width // HEAD,
        num_key_value_heads=config.width // HEAD,
        head_dim=HEAD,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=words.convert_tokens_to_ids(EOS),
        pad_token_id=words.convert_tokens_to_ids(PAD),
        dtype="float32",
    )


def _llama_state(model: Llama) -> dict[str, Tensor]:
    """Our parameters under transformers' names."""
    state: dict[str, Tensor] = {
        "model.embed_tokens.weight": model.embedding,
        "model.norm.weight": model.norm,
    }
    for number, layer in enumerate(model.blocks):
        q, k, v = layer.qkv.chunk(3)
        gate, up = layer.gate_up.chunk(2)
        named: dict[str, Tensor] = {
            "self_attn.q_proj": q,
            "self_attn.k_proj": k,
            "self_attn.v_proj": v,
            "self_attn.o_proj": layer.out,
            "mlp.gate_proj": gate,
            "mlp.up_proj": up,
            "mlp.down_proj": layer.down,
            "input_layernorm": layer.attention_norm,
            "post_attention_layernorm": layer.mlp_norm,
        }
        state |= {f"model.layers.{number}.{key}.weight": value for key, value in named.items()}
    return {key: value.detach().clone() for key, value in state.items()}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, help="the pretrain section, as JSON")
    parser.add_argument("--seed", type=int, required=True, help="seed of weights and corpus")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--scratch", type=Path, help="checkpoints; default: OUT with .scratch")


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)  # as the recorded run had
    config = PretrainConfig.model_validate_json(args.config)
    run = Pretraining(config, args.seed, args.scratch or args.out.with_suffix(".scratch"))
    run.run()
    run.export(args.out)
