"""Traces with what they are held against, read from their files when they are asked for."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from trace_retriever.errors import DataError
from trace_retriever.io.jsonl import read_located
from trace_retriever.mbeir.ids import query_id, query_number
from trace_retriever.mbeir.pairs import Split
from trace_retriever.mbeir.pool_index import RecordIndex, RecordReader
from trace_retriever.mbeir.records import Trace
from trace_retriever.traces.candidates import Described
from trace_retriever.traces.examples import Example, Examples, Home
from trace_retriever.traces.lazy import Ints, Lazy
from trace_retriever.traces.rules import Case


class TraceFile(Mapping[str, Trace]):
    """Qid → trace of a file, by ascending query id; 16 bytes each.

    Raises:
        DataError: the file is missing or malformed, or a qid is there twice.
    """

    def __init__(self, path: Path) -> None:
        located = ((offset, trace) for _, offset, trace in read_located(path, Trace))
        self.index = RecordIndex.build(path, Trace, located, lambda trace: query_number(trace.qid))
        twice = np.flatnonzero(self.numbers[1:] == self.numbers[:-1])
        if len(twice):
            qid = query_id(int(self.numbers[twice[0]]))
            raise DataError(f"qid {qid!r} is there twice", where=path, remedy="run `trace synthesize` again")

    @property
    def numbers(self) -> Ints:
        """Integer ids of the queries, ascending."""
        return self.index.numbers

    def __getitem__(self, qid: str) -> Trace:
        rows = self.index.find(np.array([query_number(qid)]))
        if rows[0] < 0:
            raise KeyError(qid)
        return next(self.index.read(rows))

    def __contains__(self, qid: object) -> bool:
        return isinstance(qid, str) and self.index.find(np.array([query_number(qid)]))[0] >= 0

    def __iter__(self) -> Iterator[str]:
        return map(query_id, self.numbers.tolist())

    def __len__(self) -> int:
        return len(self.index)


class Cases(Lazy[Case]):
    """The traces of a file with their queries, targets and source pictures, by ascending query id.

    Args:
        traces: the traces.
        examples: the query of each, in their order.
        described: the described candidates of each split.
    """

    def __init__(self, traces: TraceFile, examples: Examples, described: dict[Split, Described]) -> None:
        super().__init__(np.arange(len(traces)), self._cases)
        self.traces = traces
        self.every_example = examples
        self.described = described

    @property
    def numbers(self) -> Ints:
        """Integer ids of the queries."""
        return self.traces.numbers[self.rows]

    @property
    def examples(self) -> Examples:
        """The query of each."""
        return self.every_example.take(self.rows)

    def read_traces(self) -> Iterator[Trace]:
        """The traces alone."""
        return self.traces.index.read(self.rows)

    def _cases(self, rows: Ints) -> Iterator[Case]:
        with RecordReader(self.traces.index.path, Trace) as reader:
            offsets = self.traces.index.offsets[rows].tolist()
            for example, offset in zip(self.every_example.take(rows), offsets, strict=True):
                texts = self.described[example.split]
                yield Case(reader.at(offset), example, texts.target(example), texts.source(example))


def examples_of(cases: Sequence[Case]) -> Sequence[Example]:
    """The query of each case."""
    return cases.examples if isinstance(cases, Cases) else [case.example for case in cases]


def homes_of_cases(cases: Sequence[Case]) -> Iterator[Home]:
    """Pair and split of each case; of `Cases` without reading them."""
    if isinstance(cases, Cases):
        return cases.examples.homes()
    return ((case.example.pair, case.example.split) for case in cases)


def names_of(cases: Sequence[Case]) -> Iterator[tuple[str, str]]:
    """Qid and name of the pair of each case; of `Cases` without reading them."""
    if isinstance(cases, Cases):
        homes = cases.examples.homes()
        return (
            (query_id(number), pair.name)
            for number, (pair, _) in zip(cases.numbers.tolist(), homes, strict=True)
        )
    return ((case.trace.qid, case.trace.pair) for case in cases)
