"""Which sequences run together: batches of a bounded number of tokens with little padding."""

from collections.abc import Sequence

MAX_PADDING = 0.05


def plan_batches(lengths: Sequence[int], batch_tokens: int, min_tokens: int = 0) -> list[list[int]]:
    """Split the sequences of these lengths into batches; returns indices, longest first.

    No batch takes more than `batch_tokens` with its padding, unless it holds one sequence alone.
    A batch is closed when the next sequence would raise its share of padding above 5%, but only
    once it holds `min_tokens`: a batch too small to fill the processor wastes more than padding.
    """
    batches: list[list[int]] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batches:
            area = lengths[batches[-1][0]] * (len(batches[-1]) + 1)
            padding = area - tokens - lengths[index]
            loose = padding > MAX_PADDING * area and tokens >= min_tokens
            if area <= batch_tokens and not loose:
                batches[-1].append(index)
                tokens += lengths[index]
                continue
        batches.append([index])
        tokens = lengths[index]
    return batches
