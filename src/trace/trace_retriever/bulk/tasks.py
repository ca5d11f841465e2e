"""The two things that are encoded in bulk: candidates, directly, and queries, with their traces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trace_retriever.bulk.dataset import QueryFile
from trace_retriever.bulk.keys import Keys
from trace_retriever.bulk.records import Records
from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.records import Candidate, Query
from trace_retriever.model.items import Item
from trace_retriever.store.previous import Kind

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A record made ready: what the model is given, and the columns that are known before it answers."""

    item: Item
    row: Row


class Task(Protocol):
    """What a kind of record needs.

    Attributes:
        kind: names its directory.
        reason: the mode that it is encoded in.
        vectors: how many each record gets; 1 has no axis of its own.
        columns: name → type (pyarrow's name of it) of its table.
        keys: of its items.
    """

    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def reason(self) -> Reason: ...  # noqa: D102
    @property
    def vectors(self) -> int: ...  # noqa: D102
    @property
    def columns(self) -> dict[str, str]: ...  # noqa: D102
    @property
    def keys(self) -> Keys: ...  # noqa: D102

    def __len__(self) -> int: ...

    def asked(self, rows: range) -> list[Asked]:
        """Consecutive records."""
        ...

    def answer(self, encoded: Encoded) -> tuple[NDArray[np.float32], Row]:
        """What is kept of an answer: vectors [D] or [2, D], and further columns."""
        ...


@dataclass(frozen=True)
class CandidateTask:
    """Candidates: one vector [D] each."""

    layout: Layout
    records: Records[Candidate]
    keys: Keys
    kind: Kind = "candidates"
    reason: Reason = "never"
    vectors: int = 1

    @property
    def columns(self) -> dict[str, str]:
        """See `Task`."""
        return dict.fromkeys(("did", "modality", "text", "img_path", "key"), "string")

    def __len__(self) -> int:
        return len(self.records)

    def asked(self, rows: range) -> list[Asked]:
        """See `Task`."""
        return [Asked(candidate_item(self.layout, one), self._row(one)) for one, _ in self.records.read(rows)]

    @staticmethod
    def _row(candidate: Candidate) -> Row:
        return {
            "did": candidate.did,
            "modality": candidate.modality.value,
            "text": candidate.txt,
            "img_path": candidate.img_path,
        }

    def answer(self, encoded: Encoded) -> tuple[NDArray[np.float32], Row]:
        """See `Task`."""
        return encoded.direct, {}


@dataclass(frozen=True)
class QueryTask:
    """Queries: the direct and the reasoned vector [2, D], the route and the trace."""

    layout: Layout
    records: Records[Query]
    files: Sequence[QueryFile]
    keys: Keys
    prompt_index: int
    reason: Reason
    kind: Kind = "queries"
    vectors: int = 2

    @property
    def columns(self) -> dict[str, str]:
        """See `Task`."""
        words = dict.fromkeys(("qid", "pair", "split", "auto_route", "trace", "fallback", "key"), "string")
        numbers = dict.fromkeys(("p_emb", "confidence", "min_logprob"), "double")
        return {**words, **numbers, "trace_tokens": "int64", "truncated": "bool"}

    def __len__(self) -> int:
        return len(self.records)

    def asked(self, rows: range) -> list[Asked]:
        """See `Task`."""
        return list(self._asked(rows))

    def _asked(self, rows: range) -> Iterator[Asked]:
        for query, number in self.records.read(rows):
            file = self.files[number]
            row = {"qid": query.qid, "pair": file.pair.name, "split": file.split}
            yield Asked(query_item(self.layout, query, file.pair, self.prompt_index), row)

    def answer(self, encoded: Encoded) -> tuple[NDArray[np.float32], Row]:
        """See `Task`."""
        return np.stack([encoded.direct, encoded.reasoned]), {
            "p_emb": encoded.p_emb,
            "auto_route": encoded.route,
            "trace": encoded.trace,
            "trace_tokens": encoded.trace_tokens,
            "truncated": encoded.truncated,
            "fallback": encoded.fallback,
            "confidence": encoded.confidence,
            "min_logprob": encoded.min_logprob,
        }
