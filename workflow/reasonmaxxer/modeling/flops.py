"""Floating-point operations of the stages, by the usual count.

A token costs 2 operations a weight forward, 2 more for the gradient that passes through it and 2
more for the weight's own gradient, where it is trained. Attention's products of tokens with
tokens are left out: of models as large as the paper's they are a few percent.
"""

from __future__ import annotations

FORWARD = 2
BACKWARD = 2  # through a frozen weight
WEIGHTS = 2  # the gradient of a trained one


def forward(parameters: float, tokens: float) -> float:
    """Operations of sampling or scoring `tokens` (prompts' included) with `parameters` weights."""
    return FORWARD * parameters * tokens


def training(parameters: float, tokens: float, whole: bool) -> float:
    """Operations of one forward and backward pass over `tokens`; a LoRA's own weights are left out.

    Args:
        parameters: weights of the model.
        tokens: prompts' included.
        whole: whether all weights are trained, instead of a LoRA on a frozen base.

    Returns:
        Floating-point operations.
    """
    return (FORWARD + BACKWARD + (WEIGHTS if whole else 0)) * parameters * tokens
