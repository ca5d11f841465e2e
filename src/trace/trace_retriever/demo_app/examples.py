"""Queries of the data set that a visitor may begin with."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.mbeir.records import Query

LOOKED_AT = 120  # queries from which a pair's examples are taken, apart from each other


@dataclass(frozen=True)
class Example:
    """A query of a pair.

    Attributes:
        name: such as `mojihop_task1:2`: the pair, and which of its examples.
        pair, query: what it is.
    """

    name: str
    pair: Pair
    query: Query

    @property
    def text(self) -> str:
        """Its own words, the instruction not among them."""
        return self.query.query_txt or ""


def collect(layout: Layout, pairs: Sequence[Pair], split: Split, each: int = 3) -> dict[str, Example]:
    """Some examples of each pair by name; pairs that were made for reasoning come first.

    Raises:
        DataError: a file of queries is missing or broken.
    """
    found = {}
    for pair in sorted(pairs, key=lambda pair: not pair.is_complex):
        queries = list(islice(layout.queries(pair, split), LOOKED_AT))
        step = max(1, len(queries) // each)
        for number, query in enumerate(queries[::step][:each]):
            example = Example(f"{pair.name}:{number}", pair, query)
            found[example.name] = example
    return found
