"""The rows that write traces, packed side by side: a finished one leaves at once, another takes its place.

Shape legend: S slots, N of them taken, B rows of a batch of prompts, L layers, K key heads, T positions, E
size of a head.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from trace_retriever.engine.rows import Row

GROWTH = 64  # positions that the cache grows by at least


class Slots:
    """A KV cache with one length and one position a row; the rows in use are always the first ones.

    Args:
        config: the language model's configuration.
        size: how many rows there are.
        dtype, device: of keys and values.

    Attributes:
        rows: the rows in use, in the order of their slots.
        cache: keys and values [L, 2, S, K, T, E]; grows with the longest row that comes.
    """

    def __init__(self, config: Any, size: int, *, dtype: torch.dtype, device: torch.device) -> None:
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.size = size
        self.rows: list[Row] = []
        shape = (config.num_hidden_layers, 2, size, config.num_key_value_heads, 0, head)
        self.cache = torch.zeros(shape, dtype=dtype, device=device)

    @property
    def free(self) -> int:
        """How many rows are not in use."""
        return self.size - len(self.rows)

    def take(self, rows: Sequence[Row], source: torch.Tensor, source_rows: Sequence[int]) -> None:
        """Put rows of a prefilled batch into free slots.

        Args:
            rows: the rows to go on with; at most as many as are free.
            source: the batch's keys and values [L, 2, B, K, T, E].
            source_rows: where in it each of them is.
        """
        longest = max(row.length for row in rows)
        self._grow(max(row.length + row.limit for row in rows))
        start, end = len(self.rows), len(self.rows) + len(rows)
        index = torch.tensor(source_rows, device=self.cache.device)
        self.cache[:, :, start:end, :, :longest] = source[:, :, index, :, :longest]
        self.rows += rows

    def _grow(self, positions: int) -> None:
        have = self.cache.shape[4]
        if positions > have:
            self.cache = F.pad(self.cache, (0, 0, 0, max(positions - have, have // 2, GROWTH)))

    def drop(self, finished: Sequence[int]) -> None:
        """Free some slots: the last row in use moves into each gap."""
        for slot in sorted(finished, reverse=True):
            last = len(self.rows) - 1
            if slot != last:
                used = self.rows[last].length
                self.cache[:, :, slot, :, :used] = self.cache[:, :, last, :, :used]
                self.rows[slot] = self.rows[last]
            self.rows.pop()
