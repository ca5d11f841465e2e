"""The rows of an update: how many tokens of each kind the mean update of M-BEIR-CoT has.

M-BEIR's 16 pairs say which modalities queries and candidates have, and how often each pair is drawn; the
paper says how many samples have traces. Lengths are assumptions (`assumptions.Tokens`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trace_retriever.mbeir.pairs import OFFICIAL_PAIRS, Pair
from trace_retriever.mbeir.records import Modality
from trace_retriever.replay.assumptions import Tokens

PASSAGES = {("webqa", 1), ("webqa", 2), ("oven", 6), ("oven", 8), ("infoseek", 6), ("infoseek", 8)}


@dataclass(frozen=True, kw_only=True)
class RowKind:
    """Rows of one kind, in an update.

    Attributes:
        count: how many, a mean.
        words, visual, trace: tokens of each.
        labelled: whether its trace and `<|emb|>` are predicted.
    """

    count: float
    words: int
    visual: int
    trace: int = 0
    labelled: bool = False

    @property
    def tokens(self) -> int:
        """Positions of a row."""
        return self.words + self.visual + self.trace


@dataclass(frozen=True)
class Load:
    """What an update's rows come to, summed.

    Attributes:
        tokens: of the language model, without padding.
        visual: of them, those of pictures.
        labels: tokens to predict.
        pairs: of positions that causal attention computes.
        longest: tokens of the longest kind of row.
    """

    tokens: float
    visual: float
    labels: float
    pairs: float
    longest: int

    @classmethod
    def of(cls, kinds: Iterable[RowKind]) -> "Load":
        """Sum over kinds of rows."""
        rows = list(kinds)
        return cls(
            tokens=sum(row.count * row.tokens for row in rows),
            visual=sum(row.count * row.visual for row in rows),
            labels=sum(row.count * (row.trace + 1) for row in rows if row.labelled),
            pairs=sum(row.count * row.tokens * (row.tokens + 1) / 2 for row in rows),
            longest=max(row.tokens for row in rows),
        )

    def times(self, factor: float) -> "Load":
        """The load of so many times the rows."""
        tokens, visual, labels = factor * self.tokens, factor * self.visual, factor * self.labels
        return Load(tokens, visual, labels, factor * self.pairs, self.longest)


def draw_shares(samples: dict[str, int]) -> dict[Pair, float]:
    """How often each pair is drawn, as shares of one.

    Args:
        samples: training samples of the two routes, `complex` and `simple` (table `samples`); within a route
            by M-BEIR's own counts.
    """
    total = sum(samples.values())
    own = {pair: size.train for pair, size in OFFICIAL_PAIRS.items()}
    routes = {True: 0, False: 0}
    for pair, count in own.items():
        routes[pair.is_complex] += count
    share = {True: samples["complex"] / total, False: samples["simple"] / total}
    return {pair: share[pair.is_complex] * count / routes[pair.is_complex] for pair, count in own.items()}


def mean_update(queries: int, samples: dict[str, int], tokens: Tokens, trace: int) -> Load:
    """The mean load of so many queries and as many candidates."""
    shares = draw_shares(samples)
    return Load.of(
        kind for pair, share in shares.items() for kind in _kinds(pair, queries * share, tokens, trace)
    )


def worst_update(queries: int, tokens: Tokens, trace: int) -> Load:
    """All queries of the longest kind: picture, words and a trace, against passages with pictures."""
    return Load.of(_kinds(Pair("infoseek", 8), float(queries), tokens, trace))


def _kinds(pair: Pair, count: float, tokens: Tokens, trace: int) -> Iterator[RowKind]:
    asked, found = pair.query_modality, pair.candidate_modality
    text = tokens.passage if (pair.dataset, pair.task) in PASSAGES else tokens.caption
    yield RowKind(
        count=count,
        words=tokens.query_frame + (tokens.caption if asked is not Modality.IMAGE else 0),
        visual=tokens.picture if asked is not Modality.TEXT else 0,
        trace=trace if pair.is_complex else 0,
        labelled=True,
    )
    yield RowKind(
        count=count,
        words=tokens.candidate_frame + (text if found is not Modality.IMAGE else 0),
        visual=tokens.picture if found is not Modality.TEXT else 0,
    )
