"""What candidates are in words: their own texts, or, in a made data set, the scenes behind the pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pydantic import BaseModel, ConfigDict

from trace_retriever.io.jsonl import read_jsonl
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Split
from trace_retriever.mbeir.records import Modality
from trace_retriever.traces.examples import Example
from trace_retriever.traces.lexical import Corpus


class Description(BaseModel):
    """A line of `truth/candidates.jsonl`: what a candidate shows, in words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    did: str
    text: str


@dataclass(frozen=True)
class Described:
    """The described candidates of one split.

    Attributes:
        texts: did → description.
        modalities: did → modality.
        pictures: picture path (absolute) → description of a candidate that is this picture alone.
    """

    texts: dict[str, str]
    modalities: dict[str, Modality]
    pictures: dict[str, str]

    @classmethod
    def read(cls, layout: Layout, split: Split) -> "Described":
        """Read a split's global pool and, in a made data set, the descriptions of its pictures."""
        truth = layout.root / "truth" / "candidates.jsonl"
        scenes = {row.did: row.text for row in read_jsonl(truth, Description)} if truth.is_file() else {}
        texts: dict[str, str] = {}
        modalities: dict[str, Modality] = {}
        pictures: dict[str, str] = {}
        for candidate in layout.global_pool(split):
            modalities[candidate.did] = candidate.modality
            text = scenes.get(candidate.did) or (
                candidate.txt if candidate.modality is not Modality.IMAGE else None
            )
            if text:
                texts[candidate.did] = text
                if candidate.img_path and candidate.modality is Modality.IMAGE:
                    pictures[str(layout.images / candidate.img_path)] = text
        return cls(texts, modalities, pictures)

    def target(self, example: Example) -> str | None:
        """The description of an example's first described positive."""
        return next((self.texts[did] for did in example.positives if did in self.texts), None)

    def source(self, example: Example) -> str | None:
        """The description of the query's own picture, where a candidate is the same file."""
        return self.pictures.get(str(example.query.image)) if example.query.image else None

    def field(self, examples: Sequence[Example], limit: int, seed: int) -> "Field | None":
        """The candidates that some examples of one pair compete over.

        These are the described ones of the positives' modality whose data set is that of a positive. Of more
        than `limit`, a seeded sample and all positives are taken. None when no positive is described.
        """
        positives = {did for example in examples for did in example.positives if did in self.texts}
        if not positives:
            return None
        kinds = {(did.partition(":")[0], self.modalities[did]) for did in positives}
        dids = [did for did in self.texts if (did.partition(":")[0], self.modalities[did]) in kinds]
        if len(dids) > limit:
            chosen = np.random.default_rng(seed).choice(len(dids), limit, replace=False)
            sample = {dids[int(number)] for number in chosen} | positives
            dids = [did for did in dids if did in sample]
        return Field(tuple(dids), tuple(self.texts[did] for did in dids))


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
