"""Where a stage computes."""

from __future__ import annotations

import ctypes

# Parameters of glibc's mallopt (malloc.h).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def on_gpu() -> bool:
    """Whether this process has a GPU: the question is asked here alone."""
    import torch

    return torch.cuda.is_available()


def keep_freed_memory() -> None:
    """Let this process use again what it has freed, where the C library is glibc.

    By default large blocks go back to the kernel when freed and come again page by page, zeroed:
    a third of the lab's scoring, a tenth of SmolLM2's training. The peak stays what it was.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
