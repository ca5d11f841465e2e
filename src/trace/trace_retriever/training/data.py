"""From records to training examples: which queries train, with which trace, against which candidates."""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from trace_retriever.config.train import CandidateSide, SamplingParams, TracePart
from trace_retriever.errors import DataError
from trace_retriever.io.jsonl import read_jsonl
from trace_retriever.mbeir.ids import candidate_number
from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Candidate, CandidateTrace, Query, Trace
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item
from trace_retriever.training.sampling import Draw, Stratum, neighbour_order

Route = Literal["simple", "complex"]
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Example:
    """One training query.

    Attributes:
        trace: what there is to write of its trace; empty for a simple query. `trace_ids` are its tokens.
        positives, negatives: dids that the train pool holds.
    """

    pair: Pair
    query: Query
    complex: bool
    trace: str
    trace_ids: np.ndarray
    positives: tuple[str, ...]
    negatives: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """All that is trained on.

    Attributes:
        candidates: by did, those that some example names.
        dropped: how many queries are left out, by reason.
        written: by did, the tokens that a candidate writes before its embedding; none has any by default.
    """

    layout: Layout
    examples: list[Example]
    candidates: dict[str, Candidate]
    dropped: dict[str, int]
    written: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @cached_property
    def _identities(self) -> dict[str, int]:
        first: dict[tuple[str | None, str | None], int] = {}
        return {
            did: first.setdefault((one.txt, one.img_path), candidate_number(did))
            for did, one in self.candidates.items()
        }

    def identity(self, did: str) -> int:
        """An integer that candidates of equal content share, so that none is the other's negative.

        Data sets repeat each other's candidates under ids of their own: OVEN and InfoSeek their pages, the
        made pairs their facts.
        """
        return self._identities.get(did, candidate_number(did))

    def strata(self) -> list[Stratum]:
        """The examples by pair and route, neighbours side by side."""
        groups: dict[tuple[str, bool], list[int]] = {}
        for index, example in enumerate(self.examples):
            groups.setdefault((example.pair.name, example.complex), []).append(index)
        strata = []
        for (name, is_complex), members in groups.items():
            found = [self.examples[index] for index in members]
            order = neighbour_order(
                [example.query.query_img_path for example in found],
                [example.positives for example in found],
                [example.negatives for example in found],
            )
            route = "complex" if is_complex else "simple"
            strata.append(
                Stratum(
                    name=f"{name}/{route}", complex=is_complex, members=tuple(members[at] for at in order)
                )
            )
        return strata


@dataclass(frozen=True, slots=True)
class Sample:
    """One row to train on: what the model reads, writes and must find.

    Attributes:
        positives: integer ids of all known positives, for masking.
        targets: dids of the positive that is drawn and, after it, of the hard negatives.
    """

    item: Item
    trace_ids: tuple[int, ...]
    complex: bool
    positives: tuple[str, ...]
    targets: tuple[str, ...]


def read_routes(path: Path, split: str) -> dict[Key, Route]:
    """The chosen route of each query of a split, by (pair, qid).

    Raises:
        DataError: the file is missing or lacks a column.
    """
    import pandas as pd

    file = path / "routes.parquet"
    try:
        table = pd.read_parquet(file, columns=["pair", "qid", "route", "split"])
    except FileNotFoundError:
        raise DataError("file not found", where=file, remedy="run `trace route` first") from None
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"not a routes table: {error}", where=file, remedy="run `trace route` again"
        ) from None
    table = table[table["split"] == split]
    return dict(zip(zip(table["pair"], table["qid"], strict=True), table["route"], strict=True))


def read_traces(path: Path) -> dict[Key, Trace]:
    """The kept traces, by (pair, qid)."""
    return {(trace.pair, trace.qid): trace for trace in read_jsonl(path / "kept.jsonl", Trace)}


def read_candidate_traces(path: Path, side: CandidateSide) -> dict[str, str]:
    """What candidates write, by did; nothing for `raw`.

    Raises:
        DataError: there is no such file beside the kept traces, or a line breaks its schema.
    """
    if side == "raw":
        return {}
    file = path / "candidates.jsonl"
    if not file.is_file():
        raise DataError(
            "no traces of candidates", where=file, remedy="set train.candidates to raw, or write this file"
        )
    return {trace.did: trace.part(side) for trace in read_jsonl(file, CandidateTrace)}


def is_among(qid: str, share: float) -> bool:
    """Whether a query is in a share of all; chosen by its id, so that a smaller share is part of a larger."""
    return share >= 1 or zlib.crc32(qid.encode()) < share * 2**32


def with_text(item: Item, text: str) -> Item:
    """An item with more words after its own."""
    return Item(text=f"{item.text or ''} {text}".strip() or None, image=item.image)


@dataclass
class CorpusReader:
    """Reads the corpus; nothing vanishes: a query becomes an example, or is counted with the reason.

    A complex query without a kept trace is left out: to train it as a simple one would teach the model not to
    reason on it. It is left out of the encoder's training too, so that both variants see the same queries.

    Attributes:
        part: what of a trace is to be written.
        share: of the queries that is used.
        written: by did, what candidates write.
    """

    model: TraceModel
    layout: Layout
    routes: dict[Key, Route]
    traces: dict[Key, Trace]
    part: TracePart = "full"
    share: float = 1.0
    written: Mapping[str, str] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)

    def read(self) -> Corpus:
        """Read all train queries."""
        pairs = self.layout.pairs("train")
        queries = [
            (pair, query)
            for pair in pairs
            for query in self.layout.queries(pair, "train")
            if is_among(query.qid, self.share)
        ]
        named = {did for _, query in queries for did in (*query.pos_cand_list, *query.neg_cand_list)}
        candidates = self.layout.lookup(named, "train")
        examples = [found for pair, query in queries if (found := self._example(pair, query, candidates))]
        dropped = dict(sorted(self.dropped.items()))
        words = self.model.prompter.words
        written = {did: tuple(words(text)) for did, text in self.written.items() if did in candidates}
        return Corpus(self.layout, examples, candidates, dropped, written)

    def _example(self, pair: Pair, query: Query, candidates: dict[str, Candidate]) -> Example | None:
        key = (pair.name, query.qid)
        route, trace = self.routes.get(key), self.traces.get(key)
        positives = _held(query.pos_cand_list, candidates)
        text = trace.part(self.part) if route == "complex" and trace else ""
        ids = self.model.prompter.words(text)
        reasons = {
            "not routed": route is None,
            "complex without a kept trace": route == "complex" and trace is None,
            "trace too long for the model": len(ids) > self.model.settings.max_trace_tokens,
            "no positive in the train pool": not positives,
        }
        for reason, holds in reasons.items():
            if holds:
                self.dropped[reason] += 1
                return None
        negatives = _held(query.neg_cand_list, candidates)
        return Example(pair, query, route == "complex", text, np.array(ids, np.int32), positives, negatives)


def _held(dids: Iterable[str], candidates: dict[str, Candidate]) -> tuple[str, ...]:
    return tuple(did for did in dids if did in candidates)


def make_sample(
    corpus: Corpus, draw: Draw, sampling: SamplingParams, *, reasons: bool, as_text: bool = False
) -> Sample:
    """A drawn query as a row: one of its pair's prompts (as UniIR does in training), one of its positives.

    Args:
        corpus: where it is from.
        draw: which query, and the seed of its choices.
        sampling: how many hard negatives go with it.
        reasons: whether it comes with its trace (TRACE) or not (encoder).
        as_text: whether the trace is a part of its text instead.
    """
    example = corpus.examples[draw.index]
    random = np.random.default_rng(draw.seed)
    prompts = len(corpus.layout.instructions.of(example.pair)) - sampling.spared_prompts
    prompt = int(random.integers(max(1, prompts)))
    positive = example.positives[int(random.integers(len(example.positives)))]
    count = min(sampling.hard_negatives, len(example.negatives))
    negatives = random.permutation(len(example.negatives))[:count]
    item = query_item(corpus.layout, example.query, example.pair, prompt)
    return Sample(
        item=with_text(item, example.trace) if as_text else item,
        trace_ids=tuple(map(int, example.trace_ids)) if reasons else (),
        complex=example.complex,
        positives=tuple(example.query.pos_cand_list),
        targets=(positive, *(example.negatives[int(at)] for at in negatives)),
    )


def candidate(corpus: Corpus, did: str) -> Item:
    """A candidate of the corpus, ready to encode."""
    return candidate_item(corpus.layout, corpus.candidates[did])
