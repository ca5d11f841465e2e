"""What candidates are in words: their own texts, or, in a made data set, the scenes behind the pictures."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from trace_retriever.io.jsonl import read_jsonl
from trace_retriever.io.progress import progress
from trace_retriever.mbeir.ids import candidate_id, candidate_number
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Split
from trace_retriever.mbeir.pool_index import RecordIndex, as_ints
from trace_retriever.mbeir.records import CANDIDATE_ID_SPACE, Candidate, Modality
from trace_retriever.mbeir.streams import locate_candidates
from trace_retriever.traces.examples import Example
from trace_retriever.traces.lazy import Ints
from trace_retriever.traces.lexical import Corpus

MODALITIES = tuple(Modality)
BLOCK = 4096  # examples that share a field where the pool is sampled


class Description(BaseModel):
    """A line of `truth/candidates.jsonl`: what a candidate shows, in words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    did: str
    text: str


class Texts(Mapping[str, str]):
    """Did → description, for the described candidates of a pool; texts are read when they are asked for.

    Args:
        index: the described candidates.
        scenes: descriptions that go before a candidate's own text.
    """

    def __init__(self, index: RecordIndex[Candidate], scenes: Mapping[str, str]) -> None:
        self.index = index
        self._scenes = scenes

    def __getitem__(self, did: str) -> str:
        row = self.index.find(np.array([candidate_number(did)]))
        if row[0] < 0:
            raise KeyError(did)
        return next(self.read(row))

    def __contains__(self, did: object) -> bool:
        return isinstance(did, str) and self.index.find(np.array([candidate_number(did)]))[0] >= 0

    def __iter__(self) -> Iterator[str]:
        return map(candidate_id, self.index.numbers.tolist())

    def __len__(self) -> int:
        return len(self.index)

    def read(self, rows: Ints) -> Iterator[str]:
        """The descriptions of some rows of the index."""
        for candidate in self.index.read(rows):
            yield self._scenes.get(candidate.did) or candidate.txt or ""


@dataclass(frozen=True)
class Described:
    """The described candidates of one split.

    Attributes:
        texts: did → description.
        kinds: modality of each, its place in `MODALITIES`.
        pictures: picture path (absolute) → description of a candidate that is this picture alone.
    """

    texts: Texts
    kinds: NDArray[np.int8]
    pictures: dict[str, str]

    @classmethod
    def read(cls, layout: Layout, split: Split) -> "Described":
        """Read a split's global pool and, in a made data set, the descriptions of its pictures."""
        truth = layout.root / "truth" / "candidates.jsonl"
        scenes = {row.did: row.text for row in read_jsonl(truth, Description)} if truth.is_file() else {}
        path = layout.files.global_pool(split)
        numbers, offsets, kinds = array("q"), array("q"), array("b")
        pictures: dict[str, str] = {}
        for offset, candidate in progress(
            locate_candidates(path), f"reading {split} texts", unit="candidate"
        ):
            text = scenes.get(candidate.did) or _own_text(candidate)
            if text:
                numbers.append(candidate_number(candidate.did))
                offsets.append(offset)
                kinds.append(MODALITIES.index(candidate.modality))
                if candidate.img_path and candidate.modality is Modality.IMAGE:
                    pictures[str(layout.images / candidate.img_path)] = text
        ids, places = as_ints(numbers), as_ints(offsets)
        order = np.argsort(ids)
        index = RecordIndex(path, Candidate, ids[order], places[order])
        return cls(Texts(index, scenes), np.array(kinds, dtype=np.int8)[order], pictures)

    def target(self, example: Example) -> str | None:
        """The description of an example's first described positive."""
        rows = self.texts.index.find(_numbers(example.positives))
        held = rows[rows >= 0]
        return next(self.texts.read(held[:1])) if len(held) else None

    def source(self, example: Example) -> str | None:
        """The description of the query's own picture, where a candidate is the same file."""
        return self.pictures.get(str(example.query.image)) if self.pictures and example.query.image else None

    def field(self, examples: Iterable[Example], limit: int, seed: int) -> "Field | None":
        """The candidates that some examples of one pair compete over.

        These are the described ones of the positives' modality whose data set is that of a positive. Of more
        than `limit`, a seeded sample and all positives are taken. None when no positive is described.
        """
        return next((field for _, field in self.fields(list(examples), limit, seed, block=None)), None)

    def fields(
        self, examples: Sequence[Example], limit: int, seed: int, block: int | None = BLOCK
    ) -> "Iterator[tuple[slice, Field]]":
        """Like `field`, the examples in blocks where the pool is sampled: each with its own positives alone.

        So a field holds no more than `limit` candidates and a block's positives, however many examples
        there are. Nothing is yielded when no positive is described.
        """
        held, counts = self._positives(examples)
        rows = self._rivals(held)
        if not len(rows):
            return
        if len(rows) <= limit:
            yield slice(0, len(examples)), self._field(rows)
            return
        sample = rows[np.random.default_rng(seed).choice(len(rows), limit, replace=False)]
        ends = np.concatenate([[0], np.cumsum(counts)])
        for start in range(0, len(examples), block or len(examples)):
            stop = min(start + (block or len(examples)), len(examples))
            own = held[ends[start] : ends[stop]]
            yield slice(start, stop), self._field(self._in_file_order(np.union1d(sample, own)))

    def _positives(self, examples: Iterable[Example]) -> tuple[Ints, Ints]:
        """Rows of the described positives of some examples, and how many each has."""
        found = [self.texts.index.find(_numbers(example.positives)) for example in examples]
        held = [rows[rows >= 0] for rows in found]
        return np.concatenate([*held, np.empty(0, np.int64)]), np.array([len(rows) for rows in held])

    def _rivals(self, held: Ints) -> Ints:
        """Rows of all candidates of the data sets and modalities of some, in file order."""
        datasets_N = self.texts.index.numbers // CANDIDATE_ID_SPACE
        groups_N = datasets_N * len(MODALITIES) + self.kinds
        return self._in_file_order(np.flatnonzero(np.isin(groups_N, np.unique(groups_N[held]))))

    def _in_file_order(self, rows: Ints) -> Ints:
        return rows[np.argsort(self.texts.index.offsets[rows])]

    def _field(self, rows: Ints) -> "Field":
        dids = map(candidate_id, self.texts.index.numbers[rows].tolist())
        return Field(tuple(dids), tuple(self.texts.read(rows)))


def _own_text(candidate: Candidate) -> str | None:
    return candidate.txt if candidate.modality is not Modality.IMAGE else None


def _numbers(dids: Sequence[str]) -> Ints:
    return np.array([candidate_number(did) for did in dids], dtype=np.int64)


@dataclass(frozen=True)
class Field:
    """C candidates that compete, with their texts."""

    dids: tuple[str, ...]
    texts: tuple[str, ...]

    @cached_property
    def corpus(self) -> Corpus:
        """The texts, ready to be scored."""
        return Corpus(self.texts)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {did: row for row, did in enumerate(self.dids)}

    @cached_property
    def _same_text(self) -> dict[str, list[int]]:
        same: dict[str, list[int]] = {}
        for row, text in enumerate(self.texts):
            same.setdefault(text, []).append(row)
        return same

    def right(self, positives: Iterable[str]) -> list[int]:
        """Rows of the positives, and of candidates that read the same as one of them."""
        texts = {self.texts[self._row[did]] for did in positives if did in self._row}
        return sorted(row for text in texts for row in self._same_text[text])
