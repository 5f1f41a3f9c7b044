"""The output head in tiles: log-probs, entropy, top-k and KL straight from hidden states.

Logits exist only as tiles of a few rows by the whole vocabulary, so their memory is bounded
whatever the length of a batch. All logits and softmaxes are float32, as in the authors' scripts.

A training row enters the loss through one number, its sampled log-prob or a KL. The gradient of
that number with respect to the row's hidden state is computed while the row's tile is at hand and
kept in place of the logits: [rows, hidden] instead of [rows, vocabulary], and no second pass over
the head in backward.

In the shapes below N are positions, R the rows of a tile, H is the model's width and V its
vocabulary. Hidden states have the dtype of the head's weights.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .cpu_kernels import product

# 24 MB, of which three are the most that are held at a time. GPUs want more rows for a product.
CPU_TILE_ELEMENTS = 6 << 20
GPU_TILE_ELEMENTS = 64 << 20
MAX_TILE_ROWS = 1024
TOP_BLOCK = 64


@dataclass(frozen=True)
class TokenScores:
    """What a model thinks of N positions: float32 and in nats, the ids apart."""

    entropy: Tensor  # [N]
    logprob: Tensor  # [N], of the sampled tokens
    top_ids: Tensor  # [N, k] int64, likeliest first
    top_logprobs: Tensor  # [N, k]


class Head:
    """A model's output projection: `logits = hidden @ weight.T + bias`, always in float32.

    Args:
        weight: [V, H] float32, bfloat16 or float16; no gradient is computed for it.
        bias: [V], or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight = weight.detach()  # [V, H]
        self.bias = None if bias is None else bias.detach().float()
        self._half = self.weight.dtype != torch.float32
        # A GPU multiplies half types into float32 by itself; a CPU needs the weights widened.
        self._wide = self._half and not self.weight.is_cuda
        self._matrix = self.weight.float() if self._wide else self.weight

    @property
    def vocabulary(self) -> int:
        """V, the number of token ids."""
        return self.weight.shape[0]

    def tiles(self, rows: int) -> Iterator[slice]:
        """Slices of so many rows, each small enough for its logits to fit a tile."""
        elements = GPU_TILE_ELEMENTS if self.weight.is_cuda else CPU_TILE_ELEMENTS
        size = min(max(elements // self.vocabulary, 1), MAX_TILE_ROWS)
        for start in range(0, rows, size):
            yield slice(start, min(start + size, rows))

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [R, V] float32 of the hidden states [R, H] of a tile."""
        logits = self._product(hidden, self._matrix.t())
        return logits if self.bias is None else logits.add_(self.bias)

    def pull_back(self, gradient: Tensor) -> Tensor:
        """A gradient [R, V] float32 of logits as one [R, H] float32 of hidden states."""
        return self._product(gradient, self._matrix)

    def _product(self, left: Tensor, right: Tensor) -> Tensor:
        if not self._half:
            return product(left.float(), right.t())
        if not self._wide:
            return torch.mm(left.to(right.dtype), right, out_dtype=torch.float32)
        with _half_products(self.weight.dtype):
            return left.float() @ right


@contextlib.contextmanager
def _half_products(dtype: torch.dtype) -> Iterator[None]:
    """Float32 products of numbers that are bfloat16 anyway: exact inputs, float32 sums.

    Lets processors with bfloat16 units use them. Gradients, which are true float32, are rounded
    to bfloat16 here, as in any mixed-precision backward pass.
    """
    settings: Any = torch.backends.mkldnn
    before = settings.matmul.fp32_precision
    settings.matmul.fp32_precision = "bf16" if dtype == torch.bfloat16 else before
    try:
        yield
    finally:
        settings.matmul.fp32_precision = before


@torch.no_grad()
def score(head: Head, hidden: Tensor, targets: Tensor, top_k: int) -> TokenScores:
    """Entropy, log-prob of the sampled tokens and the likeliest tokens, at temperature 1.

    The entropy is H_t = -sum_v p(v) log p(v) over the whole vocabulary (Eq. 2). No gradients.

    Args:
        head: the model's output projection.
        hidden: [N, H].
        targets: [N] int64, the sampled tokens.
        top_k: how many of the likeliest tokens; at most V are given.

    Returns:
        Scores of the N positions, in nats, on the device of `hidden`.
    """
    count, device = len(hidden), hidden.device
    top_k = min(top_k, head.vocabulary)
    scores = TokenScores(
        entropy=torch.empty(count, device=device),
        logprob=torch.empty(count, device=device),
        top_ids=torch.empty(count, top_k, dtype=torch.int64, device=device),
        top_logprobs=torch.empty(count, top_k, device=device),
    )
    for rows in head.tiles(count):
        logits = head.logits(hidden[rows])
        best, ids = _top(logits, top_k)
        peak = best[:, :1].clone()
        chosen = logits.gather(1, targets[rows, None])
        logits.sub_(peak)
        powers = logits.exp()
        mass = powers.sum(-1, keepdim=True)
        # H = log Z - sum_v p(v) z(v), with the peak taken off Z and z alike.
        mean = logits.mul_(powers).sum(-1)
        log_mass = mass.log()
        scores.entropy[rows] = (log_mass.squeeze(-1) - mean / mass.squeeze(-1)).clamp_(min=0)
        scores.logprob[rows] = (chosen - peak - log_mass).squeeze(-1)
        scores.top_ids[rows] = ids
        scores.top_logprobs[rows] = best - peak - log_mass
    return scores


def _top(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, largest first: (values, ids), both [R, k].

    In a long row they lie among the k blocks with the largest maxima, so that one cheap pass
    for maxima leaves a few hundred candidates to sort instead of the vocabulary.
    """
    rows, width = logits.shape
    blocks = width // TOP_BLOCK
    if blocks <= 4 * k:
        return logits.topk(k)
    whole = blocks * TOP_BLOCK
    grid = logits[:, :whole].unflatten(1, (blocks, TOP_BLOCK))
    leaders = grid.amax(-1).topk(k).indices
    offsets = torch.arange(TOP_BLOCK, device=logits.device)
    candidates = (leaders[..., None] * TOP_BLOCK + offsets).flatten(1)
    tail = torch.arange(whole, width, device=logits.device).expand(rows, -1)
    candidates = torch.cat([candidates, tail], 1)
    values, order = logits.gather(1, candidates).topk(k)
    return values, candidates.gather(1, order)


def sampled_logprobs(head: Head, hidden: Tensor, targets: Tensor) -> Tensor:
    """log p_theta(x_t) of the sampled tokens, which the decision loss weighs (Eq. 6).

    Args:
        head: the model's output projection.
        hidden: [N, H]; the result is differentiable with respect to it, once.
        targets: [N] int64, the sampled tokens x_t.

    Returns:
        [N] float32, in nats.
    """
    return _SampledLogProb.apply(hidden, head, targets)


def kl_divergence(head: Head, hidden: Tensor, base_hidden: Tensor) -> Tensor:
    """KL(p_base || p_theta) over the whole vocabulary, of which the anchor is the mean (Eq. 7).

    Args:
        head: the output projection of both models.
        hidden: [N, H] of the trained model; the result is differentiable with respect to it, once.
        base_hidden: [N, H] of the base, constant.

    Returns:
        [N] float32, in nats.
    """
    return _Divergence.apply(hidden, head, base_hidden)


def top_divergence(head: Head, hidden: Tensor, ids: Tensor, logprobs: Tensor) -> Tensor:
    """KL(q || p_theta) for a q that is given on some tokens alone, as in distillation (Eq. 4).

    Args:
        head: the model's output projection.
        hidden: [N, H]; the result is differentiable with respect to it, once.
        ids: [N, k] int64, the tokens.
        logprobs: [N, k] float32, their log q in nats, whose masses sum to 1.

    Returns:
        [N] float32, in nats.
    """
    return _TopDivergence.apply(hidden, head, ids, logprobs)


class _RowFunction(torch.autograd.Function):
    """A number a row, whose gradient with respect to its hidden state is kept from forward."""

    @classmethod
    def forward(cls, ctx: Any, hidden: Tensor, head: Head, *given: Tensor) -> Tensor:
        result = torch.empty(len(hidden), device=hidden.device)
        jacobian = None
        if ctx.needs_input_grad[0]:
            jacobian = torch.empty(hidden.shape, dtype=torch.float32, device=hidden.device)
            ctx.save_for_backward(jacobian)
            ctx.dtype, ctx.others = hidden.dtype, 1 + len(given)
        for rows in head.tiles(len(hidden)):
            result[rows], gradient = cls.tile(head, hidden[rows], *(g[rows] for g in given))
            if jacobian is not None:
                jacobian[rows] = head.pull_back(gradient)
            del gradient  # or it would stay through the next tile
        return result

    @staticmethod
    def tile(head: Head, hidden: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers [R] of a tile's rows, their gradients with respect to the logits [R, V]."""
        raise NotImplementedError

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (jacobian,) = ctx.saved_tensors
        return (gradients[0][:, None] * jacobian).to(ctx.dtype), *[None] * ctx.others


class _SampledLogProb(_RowFunction):
    @staticmethod
    def tile(head: Head, hidden: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
        chosen = given[0][:, None]
        logits = _from_peak(head.logits(hidden))
        logit = logits.gather(1, chosen).squeeze(1)
        log_mass = _normalise(probs := logits.exp_())
        # d log p(x) / d z = onehot(x) - p
        gradient = probs.neg_().scatter_add_(1, chosen, torch.ones_like(probs[:, :1]))
        return logit - log_mass, gradient


class _Divergence(_RowFunction):
    @staticmethod
    def tile(head: Head, hidden: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
        base_logits = _from_peak(head.logits(given[0]))
        base_log_mass = _normalise(base_probs := base_logits.exp())
        logits = _from_peak(head.logits(hidden))
        # sum_v p_b (log p_b - log p), with the logits measured from their peaks
        gap = base_logits.sub_(logits).mul_(base_probs).sum(-1)
        log_mass = _normalise(probs := logits.exp_())
        # d KL / d z = p - p_b
        return gap - base_log_mass + log_mass, probs.sub_(base_probs)


class _TopDivergence(_RowFunction):
    @staticmethod
    def tile(head: Head, hidden: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
        ids, logprobs = given
        masses = logprobs.exp()
        logits = _from_peak(head.logits(hidden))
        gap = torch.linalg.vecdot(masses, logprobs - logits.gather(1, ids))
        log_mass = _normalise(probs := logits.exp_())
        # d KL / d z = p - q
        return gap + log_mass, probs.scatter_add_(1, ids, -masses)


def _from_peak(logits: Tensor) -> Tensor:
    """Logits [R, V] measured from their row's peak, in place.

    So measured they are small, and the softmax sums to 1. torch's log_softmax is off by 1e-5 in a
    vocabulary of 49,000, which is a thousandth of the gradient at a token of probability 0.99.
    """
    return logits.sub_(logits.amax(-1, keepdim=True))


def _normalise(powers: Tensor) -> Tensor:
    """Make exp(z) [R, V] the softmax p, in place; returns log sum_v exp(z_v) [R]."""
    mass = powers.sum(-1, keepdim=True)
    powers.mul_(mass.reciprocal())
    return mass.log_().squeeze(-1)
