"""Sequences whose items are read when they are asked for, so that a million of them cost a few arrays."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")
Ints = NDArray[np.int64]


class Lazy(Sequence[Item]):
    """Some rows of a table that can read its items.

    Args:
        rows: row numbers in the table, in this sequence's order.
        read: row numbers → their items, in that order, streaming.
    """

    def __init__(self, rows: Ints, read: Callable[[Ints], Iterator[Item]]) -> None:
        self.rows = rows
        self._read = read

    def take(self, places: Ints) -> Self:
        """Those at some places of this sequence; a view of the same table."""
        taken = object.__new__(type(self))
        taken.__dict__.update(self.__dict__)
        taken.rows = self.rows[places]
        return taken

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> "Item | Self":
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        return next(self._read(self.rows[[place]]))

    def __iter__(self) -> Iterator[Item]:
        return self._read(self.rows)


def take(items: Sequence[Item], places: Ints) -> Sequence[Item]:
    """The items at some places, in that order: a view where the sequence is lazy, else a list."""
    if isinstance(items, Lazy):
        return items.take(places)
    return [items[int(place)] for place in places]
