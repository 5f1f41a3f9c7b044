"""How a process holds its memory: no result depends on it, so no stage imports this module."""

from __future__ import annotations

import ctypes

# Parameters of glibc's mallopt (malloc.h).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_THRESHOLD = 32 << 20  # bytes: older versions of glibc refuse more


def keep_freed_memory() -> None:
    """Let this process use again what it has freed, where the C library is glibc.

    By default blocks of many pages go back to the kernel when freed and come again page by page,
    zeroed: a third of the lab's scoring. Larger blocks than the threshold, the weights of a model,
    still go back.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD):
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
