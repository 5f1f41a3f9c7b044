"""A model's sizes, and how many weights they make."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HUB_SECONDS = 3  # for the hub's first answer


@dataclass(frozen=True)
class Dimensions:
    """The sizes of a decoder of the Llama family (Qwen2, Qwen3, Llama, Mistral)."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied: bool
    biased: bool = False  # q, k and v have a bias (Qwen2)
    normed: bool = False  # q and k are normalised (Qwen3)

    @classmethod
    def of(cls, settings: Any) -> Dimensions | None:
        """From a model's own config (transformers); None for one that is not of this family."""
        names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
        if not all(hasattr(settings, name) for name in names):
            return None
        heads = settings.num_attention_heads
        head_dim = getattr(settings, "head_dim", None) or settings.hidden_size // heads
        return cls(
            hidden=settings.hidden_size,
            layers=settings.num_hidden_layers,
            heads=heads,
            kv_heads=getattr(settings, "num_key_value_heads", None) or heads,
            head_dim=head_dim,
            intermediate=settings.intermediate_size,
            vocabulary=settings.vocab_size,
            tied=bool(settings.tie_word_embeddings),
            biased=settings.model_type == "qwen2",
            normed=settings.model_type == "qwen3",
        )

    @classmethod
    def of_model(cls, path: str, revision: str | None = None) -> Dimensions | None:
        """From the config.json of a model's folder, or of its repository on the hub.

        None if it cannot be read (which `preflight` explains), or is not of this family.
        """
        try:
            file = Path(path) / "config.json" if Path(path).is_dir() else _fetch(path, revision)
            settings = json.loads(file.read_text(encoding="utf-8"))
            return cls.of(SimpleNamespace(**{"tie_word_embeddings": False, **settings}))
        except (OSError, ValueError, TypeError, AttributeError, ZeroDivisionError):
            return None

    @property
    def parameters(self) -> int:
        """All weights, norms and biases included."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = 2 * self.hidden * (query + key)
        attention += (query + 2 * key) * self.biased + 2 * self.head_dim * self.normed
        layer = attention + 3 * self.hidden * self.intermediate + 2 * self.hidden
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * layer + self.hidden

    @property
    def computing_parameters(self) -> int:
        """Weights that a token is multiplied with: all but an untied table of input embeddings."""
        return self.parameters - (0 if self.tied else self.vocabulary * self.hidden)

    def activations(self, tokens: int) -> int:
        """Numbers that a forward pass of a LoRA on q, k, v and o keeps for its backward pass."""
        return tokens * self.layers * (10 * self.hidden + 3 * self.intermediate)

    def adapter(self, rank: int) -> int:
        """Parameters of a LoRA on q, k, v and o."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return self.layers * rank * (4 * self.hidden + 2 * query + 2 * key)


def _fetch(path: str, revision: str | None) -> Path:
    """A hub model's config.json, from the cache if it is there. `OSError` if it cannot be found.

    A hub that is out of reach is given up after seconds: the download itself would try again for
    minutes.
    """
    import huggingface_hub as hub

    cached = hub.try_to_load_from_cache(path, "config.json", revision=revision)
    if isinstance(cached, str):
        return Path(cached)
    try:
        url = hub.hf_hub_url(path, "config.json", revision=revision)
        hub.get_hf_file_metadata(url, timeout=HUB_SECONDS)
        return Path(hub.hf_hub_download(path, "config.json", revision=revision))
    except Exception as error:  # the line's, the hub's or the library's own
        raise OSError(f"{path}: no config.json found") from error
