"""Which items go through the network together: equal lengths side by side, a bounded number of tokens."""

from collections.abc import Iterator, Sequence

MAX_PADDING = 1.05  # positions computed for a batch, as a multiple of its tokens


def windows(total: int, size: int) -> Iterator[range]:
    """Cut `range(total)` into consecutive ranges of `size` (the last may be shorter)."""
    for start in range(0, total, size):
        yield range(start, min(start + size, total))


def batches(lengths: Sequence[int], budget: int, padding: float = MAX_PADDING) -> Iterator[list[int]]:
    """Group indices so that rows x longest row stays within a budget and hardly exceeds the rows' tokens.

    Rows are taken from short to long, ties in input order, so the plan depends on the lengths alone.

    Args:
        lengths: tokens of each row, at least 1.
        budget: tokens of a batch, padding included; a single row may exceed it.
        padding: positions that a batch may have, as a multiple of its tokens.

    Yields:
        The indices of one batch; every index appears exactly once.
    """
    batch: list[int] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        slots = (len(batch) + 1) * lengths[index]
        if batch and (slots > budget or slots > padding * (tokens + lengths[index])):
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += lengths[index]
    if batch:
        yield batch
