"""The checks that a model has to pass, from per-query records and the params' thresholds."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from trace_retriever.config.gate import CostParams, FloorParams, GateConfig, ReasoningParams
from trace_retriever.gates.comparison import against_baseline, against_champion
from trace_retriever.gates.evidence import Evidence
from trace_retriever.gates.paired import (
    percentile_interval,
    resampled_means,
    rng_for,
    share_interval,
)
from trace_retriever.gates.verdict import Check, Verdict


def judge(
    config: GateConfig,
    evidence: Evidence,
    validation: dict[str, Any],
    champion: Evidence | None,
    *,
    validation_digest: str,
) -> Verdict:
    """Hold an evaluation against floors, bounds and the champion.

    Args:
        config: thresholds.
        evidence: the evaluation of the model that wants to pass.
        validation: the content of `validation.json`.
        champion: the evaluation of the model in place; None when there is none.
        validation_digest: names that file in the verdict.

    Raises:
        DataError: the judged system, or a baseline that is asked for, was not evaluated.
    """
    rows = evidence.rows(config.system, config.pool)
    headline = {str(pair): float(share) for pair, share in rows.groupby("pair")["headline"].mean().items()}
    headline["average"] = sum(headline.values()) / len(headline)
    checks = [
        _validated(validation),
        *_floors(rows, headline, config),
        *against_champion(rows, evidence, champion, config),
        *_reasoning(rows, evidence.true_routes, config.reasoning),
        *_cost(rows, config.cost),
        *against_baseline(rows, evidence, config),
    ]
    return Verdict(
        checks=checks,
        headline=headline,
        evaluation=evidence.digest,
        champion=champion.digest if champion else None,
        validation=validation_digest,
        policy=config.model_dump(mode="json"),
    )


def _validated(validation: dict[str, Any]) -> Check:
    failed = validation.get("failed") or []
    passed = validation.get("success") is True
    why = (
        "every expectation held"
        if passed
        else f"expectations failed: {', '.join(failed) or 'not said which'}"
    )
    return Check(
        name="validation", scope="data", passed=passed, why=why, value=float(len(failed)), threshold=0.0
    )


def _floors(rows: pd.DataFrame, headline: dict[str, float], config: GateConfig) -> Iterator[Check]:
    floors = config.floors
    interval = _average_interval(rows, config)
    yield _at_least("floor", "average", headline["average"], floors.average, interval, "mean headline figure")
    for pair, records in rows.groupby("pair")["headline"]:
        floor = _floor(str(pair), floors)
        wilson = share_interval(int(records.sum()), len(records))
        yield _at_least("floor", str(pair), headline[str(pair)], floor, wilson, f"{len(records):,} queries")
    for pair in sorted(set(floors.pairs) - set(headline)):
        why = "a floor is set for this pair, but it was not evaluated"
        yield Check(name="floor", scope=pair, passed=False, why=why, threshold=floors.pairs[pair])


def _floor(pair: str, floors: FloorParams) -> float:
    return floors.pairs.get(pair, floors.pair)


def _average_interval(rows: pd.DataFrame, config: GateConfig) -> tuple[float, float]:
    pairs = [
        resampled_means(
            records.to_numpy(float), config.champion.resamples, rng_for(config.seed, f"floor {pair}")
        )
        for pair, records in rows.groupby("pair")["headline"]
    ]
    return percentile_interval(sum(pairs[1:], start=pairs[0]) / len(pairs))


def _at_least(
    name: str, scope: str, value: float, least: float, interval: tuple[float, float] | None, what: str
) -> Check:
    passed = value >= least
    why = f"{what}: {value:.3f} is {'at least' if passed else 'below'} {least:.3f}"
    return Check(
        name=name, scope=scope, value=value, interval=interval, threshold=least, passed=passed, why=why
    )


def _at_most(
    name: str, scope: str, value: float, most: float, interval: tuple[float, float] | None, what: str
) -> Check:
    passed = value <= most
    why = f"{what}: {value:.3f} is {'at most' if passed else 'above'} {most:.3f}"
    return Check(
        name=name, scope=scope, value=value, interval=interval, threshold=most, passed=passed, why=why
    )


def _reasoning(rows: pd.DataFrame, true_routes: dict[str, str], params: ReasoningParams) -> Iterator[Check]:
    for pair, routes in rows.groupby("pair")["route"]:
        truth = true_routes.get(str(pair))
        if truth is None:
            why = "not applicable: the pair's true route is not known"
            yield Check(name="reasoning rate", scope=str(pair), passed=None, why=why)
            continue
        reasoned = int((routes == "complex").sum())
        bound: Callable[..., Check] = _at_most if truth == "simple" else _at_least
        limit = params.max_simple if truth == "simple" else params.min_complex
        interval = share_interval(reasoned, len(routes))
        what = f"reasoning rate of a {truth} pair"
        yield bound("reasoning rate", str(pair), reasoned / len(routes), limit, interval, what)


def _cost(rows: pd.DataFrame, params: CostParams) -> Iterator[Check]:
    tokens = float(rows["trace_tokens"].mean())
    yield _at_most(
        "trace tokens", "all queries", tokens, params.max_mean_tokens, None, "mean trace tokens a query"
    )
    reasoned = rows[rows["route"] == "complex"]
    if reasoned.empty:
        why = "not applicable: no query reasoned"
        yield Check(name="truncation", scope="reasoning queries", passed=None, why=why)
        return
    cut = int(reasoned["truncated"].sum())
    interval = share_interval(cut, len(reasoned))
    share = cut / len(reasoned)
    yield _at_most(
        "truncation", "reasoning queries", share, params.max_truncated, interval, "share of traces cut"
    )
