"""Floating-point operations of the stages, by the usual count.

A token costs 2 operations a weight forward, 2 more for the gradient that passes through it and 2
more for the weight's own gradient, where it is trained. Attention's products of tokens with
tokens are left out: of models as large as the paper's they are a few percent.
"""

FORWARD = 2
BACKWARD = 2  # through a frozen weight
WEIGHTS = 2  # the gradient of a trained one


def forward(parameters: float, tokens: float) -> float:
    """Operations of sampling or scoring `tokens` (prompts' included) with `parameters` weights."""
    return FORWARD * parameters * tokens


def training(parameters: float, tokens: float, whole: bool) -> float:
    """Of one forward and backward pass over `tokens`, training the `whole` model or a LoRA on it.

    A LoRA's own weights are left out.
    """
    return (FORWARD + BACKWARD + (WEIGHTS if whole else 0)) * parameters * tokens
