"""The one place where long work says how far it is: a bar on a terminal, plain lines in a log."""

import sys
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar, cast

from tqdm import tqdm

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], what: str, *, total: int | None = None, unit: str = "it"
) -> Iterator[Item]:
    """Yield the items while showing how many are done.

    Args:
        items: what to go through.
        what: the name of the work, shown first.
        total: how many there are, if `len` does not tell.
        unit: what one item is called.
    """
    yield from bar(what, total=total, unit=unit, items=items)


def bar(
    what: str, *, total: int | None = None, unit: str = "it", items: Iterable[Item] | None = None
) -> "tqdm[Item]":
    """A progress bar to update by hand (`bar.update(n)`); in a log it prints a line every ten seconds."""
    on_terminal = sys.stderr.isatty()
    shown = tqdm(
        items,
        file=None if on_terminal else cast("TextIO", _Lines(sys.stderr)),
        position=None if on_terminal else 0,
        desc=what,
        total=total,
        unit=unit,
        dynamic_ncols=on_terminal,
        ascii=not on_terminal,
        mininterval=0.1 if on_terminal else 10.0,
        leave=True,
    )
    return cast("tqdm[Item]", shown)  # without items it is only ever updated by hand


class _Lines:
    """A log: what tqdm would redraw in place becomes a line of its own, ended at once."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        if shown := text.strip():
            self.stream.write(f"{shown}\n")

    def flush(self) -> None:
        self.stream.flush()
