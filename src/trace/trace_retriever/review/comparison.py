"""A version beside the champion: figures per pair, what reasoning costs, which queries changed sides."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trace_retriever.config.gate import GateConfig
from trace_retriever.gates.comparison import Paired, pair_up
from trace_retriever.gates.paired import percentile_interval, share_interval
from trace_retriever.review.dossier import Dossier

if TYPE_CHECKING:
    import pandas as pd

AVERAGE = "average"
BEYOND = 1_000_000  # sorts behind any rank


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one model does on one pair.

    Attributes:
        value: share of queries with a right result among the first k.
        low, high: 95 % interval (Wilson's; none for the average).
        reasoning: share of queries that reasoned.
        tokens: mean trace tokens a query.
    """

    value: float
    low: float | None
    high: float | None
    reasoning: float
    tokens: float
    queries: int


@dataclass(frozen=True, kw_only=True)
class PairRow:
    """One pair under both models.

    Attributes:
        k: how many first results count.
        difference, low, high: model minus champion over common queries, with a 95 % interval (paired
            bootstrap); None without a champion, or where it did not answer these queries.
    """

    pair: str
    true_route: str | None
    k: int | None
    own: Figures
    champion: Figures | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """A query that only one model answers; a rank is None beyond the depth, or where it was not noted."""

    pair: str
    qid: str
    rank: int | None
    champion_rank: int | None
    route: str
    champion_route: str


def pair_rows(own: Dossier, champion: Dossier | None) -> list[PairRow]:
    """A row for each pair, and the plain mean over pairs first."""
    figures, others = _figures(own), _figures(champion) if champion else {}
    paired = _paired(own, champion) if champion else {}
    about = own.results.get("pairs", {})
    rows = [
        PairRow(
            pair=pair,
            true_route=about.get(pair, {}).get("true_route"),
            k=about.get(pair, {}).get("headline_k"),
            own=found,
            champion=others.get(pair),
            **_difference(paired.get(pair)),
        )
        for pair, found in figures.items()
    ]
    return [_average(rows, paired), *rows] if rows else []


def _figures(dossier: Dossier) -> dict[str, Figures]:
    found = {}
    for pair, rows in dossier.queries.groupby("pair", observed=True):
        low, high = share_interval(int(rows["headline"].sum()), len(rows))
        found[str(pair)] = Figures(
            value=float(rows["headline"].mean()),
            low=low,
            high=high,
            reasoning=float((rows["route"] == "complex").mean()),
            tokens=float(rows["trace_tokens"].mean()),
            queries=len(rows),
        )
    return found


def _paired(own: Dossier, champion: Dossier) -> dict[str, Paired]:
    """The gate's own comparison: same draws, so the figures are those of the verdict where it made one."""
    config = GateConfig.model_validate(own.verdict["policy"], strict=False)
    return pair_up(_sorted(own.queries), _sorted(champion.queries), config, "champion")


def _sorted(queries: "pd.DataFrame") -> "pd.DataFrame":
    return queries.sort_values(["pair", "qid"], ignore_index=True)


def _difference(found: Paired | None) -> dict[str, Any]:
    if found is None:
        return {}
    low, high = percentile_interval(found.means)
    return {"difference": found.difference, "low": low, "high": high}


def _average(rows: list[PairRow], paired: dict[str, Paired]) -> PairRow:
    """Over all pairs; the champion's and the difference over those that both answered."""
    others = [row.champion for row in rows if row.champion is not None]
    difference: dict[str, Any] = {}
    if paired:
        low, high = percentile_interval(np.mean([found.means for found in paired.values()], axis=0))
        mean = float(np.mean([found.difference for found in paired.values()]))
        difference = {"difference": mean, "low": low, "high": high}
    return PairRow(
        pair=AVERAGE,
        true_route=None,
        k=None,
        own=_mean([row.own for row in rows]),
        champion=_mean(others) if others else None,
        **difference,
    )


def _mean(figures: list[Figures]) -> Figures:
    return Figures(
        value=float(np.mean([found.value for found in figures])),
        low=None,
        high=None,
        reasoning=float(np.mean([found.reasoning for found in figures])),
        tokens=float(np.mean([found.tokens for found in figures])),
        queries=sum(found.queries for found in figures),
    )


def changes(own: Dossier, champion: Dossier) -> tuple[list[Change], list[Change]]:
    """Queries that only the champion answers, those that the model ranks worst first; and those that only
    the model answers, those that the champion ranked worst first."""
    columns = ["pair", "qid", "headline", "rank", "route"]
    both = own.queries[columns].merge(
        champion.queries[columns], on=["pair", "qid"], suffixes=("", "_champion")
    )
    lost = both[both["headline_champion"].astype(bool) & ~both["headline"].astype(bool)]
    won = both[both["headline"].astype(bool) & ~both["headline_champion"].astype(bool)]
    return (
        sorted(map(_change, lost.to_dict("records")), key=lambda found: _order(found, found.rank)),
        sorted(map(_change, won.to_dict("records")), key=lambda found: _order(found, found.champion_rank)),
    )


def misses(own: Dossier) -> list[Change]:
    """Queries that the model does not answer, worst first: what there is to see without a champion."""
    missed = own.queries[~own.queries["headline"].astype(bool)]
    rows = missed.assign(rank_champion=None, route_champion="").to_dict("records")
    return sorted(map(_change, rows), key=lambda found: _order(found, found.rank))


def _order(found: Change, rank: int | None) -> tuple[int, str, str]:
    return (-(rank if rank is not None else BEYOND), found.pair, found.qid)


def _change(row: dict[Any, Any]) -> Change:
    return Change(
        pair=str(row["pair"]),
        qid=str(row["qid"]),
        rank=_rank(row["rank"]),
        champion_rank=_rank(row["rank_champion"]),
        route=str(row["route"]),
        champion_route=str(row["route_champion"]),
    )


def _rank(value: Any) -> int | None:
    return int(value) if value is not None and value == value and value > 0 else None  # NaN is not itself
