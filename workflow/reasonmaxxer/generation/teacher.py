"""The two models of the analysis: the frozen base, and the teacher that it is compared with.

Both sit in memory side by side, on one device, with the weights that the evaluation runs.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..config import ModelConfig
from ..errors import UserError
from ..modeling.base_model import Base, load_base
from ..tables.artefacts import ADAPTER_WEIGHTS
from .engine import merged_weights


@dataclass(frozen=True)
class Pair:
    """The base and the teacher, on one device, with one vocabulary of V ids."""

    base: Base
    teacher: Base


def load_pair(model: ModelConfig, teacher: ModelConfig, adapter: Path | None = None) -> Pair:
    """The base and the teacher: another model, or `teacher` with an adapter merged into it.

    Args:
        model: the base.
        teacher: the teacher's model, without its adapter.
        adapter: folder of the teacher's adapter, if it has one.

    Returns:
        Both, frozen.

    Raises:
        UserError: if a model cannot be read, or their vocabularies differ: then token ids cannot be
            compared.
    """
    pair = Pair(load_base(model.path, model), load_base(teacher.path, teacher))
    sizes = (pair.base.head.vocabulary, pair.teacher.head.vocabulary)
    if sizes[0] != sizes[1]:
        raise UserError(
            f"footprint.teacher: {teacher.path} has {sizes[1]} tokens and {model.path} {sizes[0]}; "
            "their choices can be compared only if they share a vocabulary"
        )
    if adapter is not None:
        weights = dict(merged_weights(teacher, adapter))
        pair.teacher.model.load_state_dict(weights, strict=False)
    return pair


def entropies(logits: Tensor) -> Tensor:
    """H = -sum_v p(v) log p(v) of the softmax p of each row (Eq. 2).

    Args:
        logits: [..., V] float32; -inf stands for a token of probability 0.

    Returns:
        [...] float32, in nats.
    """
    logprobs = logits.log_softmax(-1)
    return -(logprobs.exp() * logprobs).nan_to_num(0.0).sum(-1)


def ranks(logits: Tensor, tokens: Tensor) -> Tensor:
    """The rank of a token among all, by logit; of equals the smaller id comes first.

    Args:
        logits: [N, V].
        tokens: [N] int64.

    Returns:
        [N] int64, from 1.
    """
    own = logits.gather(1, tokens[:, None])
    ids = torch.arange(logits.shape[1], device=logits.device)
    before = (logits > own) | ((logits == own) & (ids < tokens[:, None]))
    return before.sum(1) + 1


def add_pair_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of every command that holds a teacher against the base."""
    parser.add_argument("--model-config", required=True, help="config section `model`, as JSON")
    parser.add_argument("--teacher-config", required=True, help="the teacher's model, as JSON")
    parser.add_argument("--adapter", type=Path, help="the teacher's adapter, if it is one")
    where = parser.add_argument_group("where it runs (never changes what comes out)")
    where.add_argument("--threads", type=int, default=1, help="number of CPU cores")
    where.add_argument(
        "--batch-tokens", type=int, default=16384, help="maximum number of tokens in a batch"
    )


def pair_of(args: argparse.Namespace) -> tuple[Pair, list[Path]]:
    """The pair that the arguments of `add_pair_arguments` name.

    Args:
        args: as parsed; `threads` is set for this process.

    Returns:
        The pair, and the files it was read from beside the models.
    """
    torch.set_num_threads(args.threads)
    model = ModelConfig.from_json(args.model_config)
    teacher = ModelConfig.from_json(args.teacher_config)
    files = [args.adapter / ADAPTER_WEIGHTS] if args.adapter else []
    return load_pair(model, teacher, args.adapter), files
