"""A strategy's labels of a million queries as arrays: query ids, routes, confidences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trace_retriever.mbeir.ids import query_id, query_number
from trace_retriever.traces.answers import LoggedAnswers
from trace_retriever.traces.examples import Example, homes_of, numbers_of
from trace_retriever.traces.lazy import Ints
from trace_retriever.traces.teachers.base import Judgement

ROUTES = ("simple", "complex")
Routes = NDArray[np.int8]
"""Places in `ROUTES`, -1 for a query without a label."""


@dataclass(frozen=True)
class Judgements(Mapping[str, Judgement]):
    """Qid → judgement, 17 bytes each.

    Attributes:
        numbers: integer query ids, ascending.
        routes: the route of each.
        confidences: the confidence of each.
    """

    numbers: Ints = field(repr=False)
    routes: Routes = field(repr=False)
    confidences: NDArray[np.float64] = field(repr=False)

    @classmethod
    def of(cls, judgements: Mapping[str, Judgement]) -> Self:
        """The same judgements as arrays."""
        if isinstance(judgements, cls):
            return judgements
        pairs: Iterable[tuple[str, Judgement]] = (
            judgements.read() if isinstance(judgements, LoggedAnswers) else judgements.items()
        )
        kind = np.dtype([("number", "i8"), ("route", "i1"), ("confidence", "f8")])
        rows = ((query_number(qid), ROUTES.index(one.route), one.confidence) for qid, one in pairs)
        table = np.sort(np.fromiter(rows, dtype=kind, count=len(judgements)), order="number")
        return cls(table["number"], table["route"], table["confidence"])

    @classmethod
    def by_dataset(cls, examples: Sequence[Example]) -> Self:
        """What the paper's table says of each query's data set."""
        numbers = numbers_of(examples)
        complex_ = np.fromiter((pair.is_complex for pair, _ in homes_of(examples)), np.int8, len(numbers))
        order = np.argsort(numbers, kind="stable")
        return cls(numbers[order], complex_[order], np.ones(len(numbers)))

    def at(self, numbers: Ints) -> tuple[Routes, NDArray[np.float64]]:
        """Route (-1 for none) and confidence (0 for none) of some queries."""
        rows = np.searchsorted(self.numbers, numbers).clip(max=max(len(self) - 1, 0))
        if not len(self):
            return np.full(len(numbers), -1, dtype=np.int8), np.zeros(len(numbers))
        known = self.numbers[rows] == numbers
        return np.where(known, self.routes[rows], np.int8(-1)), np.where(known, self.confidences[rows], 0.0)

    def __getitem__(self, qid: str) -> Judgement:
        routes, confidences = self.at(np.array([query_number(qid)]))
        if routes[0] < 0:
            raise KeyError(qid)
        return Judgement.model_validate({"route": ROUTES[routes[0]], "confidence": float(confidences[0])})

    def __iter__(self) -> Iterator[str]:
        return map(query_id, self.numbers.tolist())

    def __len__(self) -> int:
        return len(self.numbers)
