"""A query with what a teacher may be shown of it: instruction, words, picture, and one target."""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from trace_retriever.errors import DataError
from trace_retriever.io.images import resolve_inside
from trace_retriever.io.progress import bar
from trace_retriever.mbeir.ids import candidate_number, query_id, query_number
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.mbeir.pool_index import RecordReader, as_ints, index_pool
from trace_retriever.mbeir.records import Candidate, Query
from trace_retriever.mbeir.text import candidate_text, clean_text
from trace_retriever.traces.lazy import Ints, Lazy

Home = tuple[Pair, Split]


@dataclass(frozen=True, slots=True)
class Shown:
    """Words, a picture (checked path), or both, as a teacher sees them."""

    text: str | None
    image: Path | None


@dataclass(frozen=True, slots=True)
class Example:
    """One query and one of its targets.

    Attributes:
        instruction: the pair's prompt.
        query: the query's own words and picture, without the instruction.
        positives: the ids of all candidates that answer it.
        target: the first of them that the pool holds, or None where it holds none.
    """

    qid: str
    pair: Pair
    split: Split
    instruction: str
    query: Shown
    positives: tuple[str, ...]
    target: Shown | None

    @property
    def words(self) -> str:
        """The query's own words, "" for a picture alone."""
        return self.query.text or ""


@dataclass(frozen=True)
class Table:
    """N queries as arrays, by ascending query id; their words are read again from the files.

    Attributes:
        layout: the data set.
        prompt_index: which of a pair's prompts is the instruction.
        homes: pair and split of each source of queries.
        numbers: integer query ids, ascending.
        sources: the place of each query's source in `homes`.
        offsets: the byte of its file that its line begins at.
        aims: the byte of the split's global pool that its target's line begins at; -1 for no target.
    """

    layout: Layout
    prompt_index: int
    homes: list[Home]
    numbers: Ints = field(repr=False)
    sources: NDArray[np.int16] = field(repr=False)
    offsets: Ints = field(repr=False)
    aims: Ints = field(repr=False)

    def read(self, rows: Ints) -> Iterator[Example]:
        """The examples of some rows, in that order."""
        with ExitStack() as stack:
            queries = self._readers(stack)
            pools = {
                split: stack.enter_context(RecordReader(self.layout.files.global_pool(split), Candidate))
                for split in dict.fromkeys(split for _, split in self.homes)
                if (self.aims >= 0).any()
            }
            for row in rows:
                pair, split = self.homes[self.sources[row]]
                query = queries[self.sources[row]].at(int(self.offsets[row]))
                offset = int(self.aims[row])
                target = pools[split].at(offset) if offset >= 0 else None
                yield _example(self.layout, query, pair, split, self.prompt_index, target)

    def words(self, rows: Ints) -> Iterator[str]:
        """The cleaned words of some queries; their pictures' paths are not looked at."""
        with ExitStack() as stack:
            queries = self._readers(stack)
            for row in rows:
                yield clean_text(queries[self.sources[row]].at(int(self.offsets[row])).query_txt)

    def _readers(self, stack: ExitStack) -> "list[RecordReader[Query]]":
        paths = [self.layout.query_path(pair, split) for pair, split in self.homes]
        return [stack.enter_context(RecordReader(path, Query)) for path in paths]


class Examples(Lazy[Example]):
    """Queries with their targets by ascending query id, each read from its file when it is asked for."""

    def __init__(self, table: Table) -> None:
        super().__init__(np.arange(len(table.numbers)), table.read)
        self.table = table

    @property
    def numbers(self) -> Ints:
        """The integer query ids."""
        return self.table.numbers[self.rows]

    def homes(self) -> Iterator[Home]:
        """Each query's pair and split; nothing is read."""
        return (self.table.homes[place] for place in self.table.sources[self.rows])

    def words(self) -> Iterator[str]:
        """Each query's words, as `Example.words`."""
        return self.table.words(self.rows)


def numbers_of(examples: Sequence[Example]) -> Ints:
    """The integer query ids of some examples; of `Examples` without reading them."""
    if isinstance(examples, Examples):
        return examples.numbers
    return np.array([query_number(example.qid) for example in examples], dtype=np.int64)


def homes_of(examples: Sequence[Example]) -> Iterator[Home]:
    """Pair and split of each example; of `Examples` without reading them."""
    if isinstance(examples, Examples):
        return examples.homes()
    return ((example.pair, example.split) for example in examples)


def words_of(examples: Sequence[Example]) -> Iterator[str]:
    """The words of each example; of `Examples` without a look at pictures and targets."""
    return examples.words() if isinstance(examples, Examples) else (example.words for example in examples)


def load_examples(
    layout: Layout,
    splits: Sequence[Split],
    *,
    prompt_index: int,
    wanted: Ints | None = None,
    targets: bool = True,
) -> Examples:
    """The examples of some splits, ordered by query id.

    Every query file is read once, and checked; what stays in memory is some 40 bytes a query.

    Args:
        layout: the data set.
        splits: which splits; a query id may be in one of them only.
        prompt_index: which of a pair's prompts is the instruction.
        wanted: integer query ids, ascending; None takes all.
        targets: whether targets are looked up in the split's global pool.

    Raises:
        DataError: a file is missing or malformed, or one query id is in two splits or pairs.
    """
    homes: list[Home] = []
    parts: list[_Part] = []
    for split in splits:
        found = [(pair, split) for pair in layout.pairs(split)]
        several = [_scan(layout, home, wanted, targets=targets) for home in found]
        if targets and any(len(part.numbers) for part in several):
            pool = index_pool(layout.files.global_pool(split))
            several = [part.aimed(pool.numbers, pool.offsets) for part in several]
        homes += found
        parts += several
    numbers, offsets, aims = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("numbers", "offsets", "aims")
    )
    places = np.repeat(np.arange(len(parts), dtype=np.int16), [len(part.numbers) for part in parts])
    order = np.argsort(numbers, kind="stable")
    table = Table(layout, prompt_index, homes, numbers[order], places[order], offsets[order], aims[order])
    _check_once(table)
    return Examples(table)


@dataclass(frozen=True)
class _Part:
    """The queries of one pair and split; `dids` holds all their positives, `counts` how many each has."""

    numbers: Ints
    offsets: Ints
    dids: Ints
    counts: Ints

    @cached_property
    def aims(self) -> Ints:
        """Offsets of the targets, where none were looked up."""
        return np.full(len(self.numbers), -1, dtype=np.int64)

    def aimed(self, pool_C: Ints, offsets_C: Ints) -> "_Part":
        """With the offset of each query's first positive that the pool holds."""
        rows = np.searchsorted(pool_C, self.dids).clip(max=len(pool_C) - 1)
        held = pool_C[rows] == self.dids
        owners = np.repeat(np.arange(len(self.numbers)), self.counts)[held]
        first, places = np.unique(owners, return_index=True)
        self.aims[first] = offsets_C[rows[held][places]]
        return self


def _scan(layout: Layout, home: Home, wanted: Ints | None, *, targets: bool) -> _Part:
    numbers, offsets, dids, counts = (array("q") for _ in range(4))
    pair, split = home
    shown: tqdm[object] = bar(f"reading {split} queries of {pair.name}", unit="query")
    with shown:
        for offset, query in layout.located_queries(pair, split):
            numbers.append(query_number(query.qid))
            offsets.append(offset)
            positives = query.pos_cand_list if targets else ()
            dids.extend(candidate_number(did) for did in positives)
            counts.append(len(positives))
            shown.update()
    whole = _Part(as_ints(numbers), as_ints(offsets), as_ints(dids), as_ints(counts))
    if wanted is None:
        return whole
    keep = np.isin(whole.numbers, wanted)
    of_kept = np.repeat(keep, whole.counts)
    return _Part(whole.numbers[keep], whole.offsets[keep], whole.dids[of_kept], whole.counts[keep])


def _check_once(table: Table) -> None:
    twice = np.flatnonzero(table.numbers[1:] == table.numbers[:-1])
    if not len(twice):
        return
    row = int(twice[0])
    (one, first), (other, second) = (table.homes[table.sources[place]] for place in (row, row + 1))
    raise DataError(
        f"qid {query_id(int(table.numbers[row]))} is in {one.name} ({first}) and {other.name} ({second})",
        where=table.layout.root,
        remedy="traces are joined by qid: renumber one, or leave a split out with route.splits",
    )


def _example(
    layout: Layout, query: Query, pair: Pair, split: Split, prompt_index: int, target: Candidate | None
) -> Example:
    return Example(
        qid=query.qid,
        pair=pair,
        split=split,
        instruction=clean_text(layout.instructions.prompt(pair, prompt_index)),
        query=_shown(layout, clean_text(query.query_txt) or None, query.query_img_path),
        positives=tuple(query.pos_cand_list),
        target=_shown(layout, candidate_text(target.txt), target.img_path) if target else None,
    )


def _shown(layout: Layout, text: str | None, image: str | None) -> Shown:
    return Shown(text, resolve_inside(layout.images, image) if image else None)
