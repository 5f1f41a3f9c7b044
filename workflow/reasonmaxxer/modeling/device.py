"""Where a stage computes."""


def on_gpu() -> bool:
    """Whether this process has a GPU: the question is asked here alone."""
    import torch

    return torch.cuda.is_available()
