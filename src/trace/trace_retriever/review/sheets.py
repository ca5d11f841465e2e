"""Sample queries as a page shows them: asked, written, found, by this model and by the champion."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from trace_retriever.evaluation.samples import Sample, Shown
from trace_retriever.review.comparison import Change
from trace_retriever.review.dossier import Dossier

Kind = Literal["lost", "won", "all"]
PAGE = 8


@dataclass(frozen=True)
class Place:
    """One result: its content, and whether it is right."""

    did: str
    content: Shown
    right: bool


@dataclass(frozen=True)
class Side:
    """What one model made of a query.

    Attributes:
        rank: of the first right result; None beyond the depth.
        noted: whether the rank was recorded at all.
        trace: None where it did not reason.
        places: its first results; empty where the package holds no sample of this query.
    """

    rank: int | None
    noted: bool
    route: str
    trace: str | None
    tokens: int
    truncated: bool
    places: list[Place]


@dataclass(frozen=True)
class Sheet:
    """A query with the right answers, and both sides."""

    pair: str
    qid: str
    query: Shown
    targets: list[Place]
    true_trace: str | None
    own: Side
    champion: Side | None


def chosen(kind: Kind, lost: list[Change], won: list[Change], own: Dossier, pair: str | None) -> list[str]:
    """Qids of samples of a kind, in the order of the changes (of all: by pair and qid)."""
    if kind == "all":
        named = [(sample.pair, qid) for qid, sample in own.samples.items()]
        return [qid for found, qid in sorted(named) if pair in (None, found)]
    changed = lost if kind == "lost" else won
    return [found.qid for found in changed if found.qid in own.samples and pair in (None, found.pair)]


def sheets(qids: Iterable[str], own: Dossier, champion: Dossier | None) -> Iterator[Sheet]:
    """The sheets of some samples of `own`."""
    for qid in qids:
        sample = own.samples[qid]
        side = _side(own, sample)
        if side is None:
            continue
        other = _side(champion, champion.samples.get(qid) or sample) if champion is not None else None
        if other is not None and champion is not None and qid not in champion.samples:
            other = Side(other.rank, other.noted, other.route, None, other.tokens, other.truncated, [])
        yield Sheet(
            pair=sample.pair,
            qid=qid,
            query=sample.query,
            targets=[_place(sample, did) for did in sample.positives[:3]],
            true_trace=sample.true_trace,
            own=side,
            champion=other,
        )


def _side(dossier: Dossier, sample: Sample) -> Side | None:
    row = dossier.rows.get((sample.pair, sample.qid))
    if row is None:
        return None
    reasoned = row["route"] == "complex"
    rank = row["rank"]
    noted = rank == rank and rank is not None  # NaN is not itself
    return Side(
        rank=int(rank) if noted and rank > 0 else None,
        noted=bool(noted),
        route=str(row["route"]),
        trace=sample.trace if reasoned else None,
        tokens=int(row["trace_tokens"]),
        truncated=bool(row["truncated"]),
        places=[_place(sample, found.did) for found in sample.rankings.get(dossier.system, [])],
    )


def _place(sample: Sample, did: str) -> Place:
    return Place(did, sample.candidates.get(did, Shown(text="in no pool")), did in sample.positives)
