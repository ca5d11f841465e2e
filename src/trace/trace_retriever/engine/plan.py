"""Which items go through the network together: equal lengths side by side, a bounded number of tokens."""

from collections.abc import Iterator, Sequence


def windows(total: int, size: int) -> Iterator[range]:
    """Cut `range(total)` into consecutive ranges of `size` (the last may be shorter)."""
    for start in range(0, total, size):
        yield range(start, min(start + size, total))


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Group indices so that rows x longest row stays within a budget of tokens.

    Rows are taken from short to long, ties in input order, so little of a batch is padding and the plan
    depends on the lengths alone.

    Args:
        lengths: tokens of each row.
        budget: tokens of a batch, padding included; a single row may exceed it.

    Yields:
        The indices of one batch; every index appears exactly once.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[index] > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
