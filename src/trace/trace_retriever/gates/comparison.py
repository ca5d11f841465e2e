"""Checks that hold a model against another one on the same queries: the champion, or the baseline."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from trace_retriever.config.gate import GateConfig
from trace_retriever.gates.evidence import Evidence
from trace_retriever.gates.paired import (
    Floats,
    holm,
    p_not_above,
    percentile_interval,
    resampled_means,
    rng_for,
)
from trace_retriever.gates.verdict import Check

NAME = "non-inferiority"
NO_CHAMPION = "not applicable: no champion"


@dataclass(frozen=True)
class Paired:
    """A pair's common queries under two models.

    Attributes:
        difference: mean of model minus other.
        other: the other's mean.
        means: resampled differences, float [resamples].
        common: share of the model's queries that the other answered too.
        count: how many common queries.
    """

    difference: float
    other: float
    means: Floats = field(repr=False)
    common: float
    count: int


def pair_up(rows: pd.DataFrame, others: pd.DataFrame, config: GateConfig, what: str) -> dict[str, Paired]:
    """Pair → its comparison, for the pairs with common queries; differences are of the headline hit.

    Args:
        rows, others: records of the two, columns pair, qid, headline.
        config: resamples and seed.
        what: a name for this comparison's draws.
    """
    columns = ["pair", "qid", "headline"]
    joined = rows[columns].merge(others[columns], on=["pair", "qid"], suffixes=("", "_other"))
    sizes = rows.groupby("pair").size()
    found = {}
    for pair, common in joined.sort_values(["pair", "qid"]).groupby("pair"):
        own, other = common["headline"].to_numpy(float), common["headline_other"].to_numpy(float)
        means = resampled_means(
            own - other, config.champion.resamples, rng_for(config.seed, f"{what} {pair}")
        )
        difference = float((own - other).mean())
        share = len(common) / int(sizes[pair])
        found[str(pair)] = Paired(difference, float(other.mean()), means, share, len(common))
    return found


def against_champion(
    rows: pd.DataFrame, evidence: Evidence, champion: Evidence | None, config: GateConfig
) -> Iterator[Check]:
    """Non-inferiority on each pair (Holm's correction over the pairs) and on their mean.

    A pair passes when "worse than the champion by the margin or more" is rejected; with too few queries that
    fails however good the model is, and `why` then says so.
    """
    pairs = [str(pair) for pair in rows["pair"].unique()]
    if champion is None:
        for scope in ("average", *pairs):
            yield Check(name=NAME, scope=scope, passed=None, why=NO_CHAMPION)
        return
    others = champion.rows(config.champion.system or config.system, config.pool)
    paired = pair_up(rows, others, config, "champion")
    margins = {pair: config.champion.margins.get(pair, config.champion.margin) for pair in pairs}
    adjusted = holm({pair: p_not_above(found.means, -margins[pair]) for pair, found in paired.items()})
    if paired:
        yield _average(paired, config)
    known = set(others["pair"].astype(str))
    for pair in pairs:
        if pair not in known:
            why = "not applicable: the champion was not evaluated on this pair"
            yield Check(name=NAME, scope=pair, passed=None, why=why)
        elif trouble := _incomparable(pair, paired.get(pair), evidence, champion, config):
            yield Check(name=NAME, scope=pair, passed=False, why=trouble)
        else:
            yield _non_inferior(pair, paired[pair], margins[pair], adjusted[pair], config.champion.alpha)
    for pair in sorted(known - set(pairs)):
        why = "the champion was evaluated on this pair, this model was not"
        yield Check(name=NAME, scope=pair, passed=False, why=why)


def _incomparable(
    pair: str, found: Paired | None, evidence: Evidence, champion: Evidence, config: GateConfig
) -> str | None:
    share = found.common if found else 0.0
    if share < config.champion.min_common:
        return f"the champion answered {share:.0%} of the queries; evaluate it on this data set first"
    if (
        evidence.files
        and champion.files
        and _test_files(evidence, pair, config) != _test_files(champion, pair, config)
    ):
        return "the champion's test queries or pool had another content; evaluate it on this data set first"
    return None


def _test_files(evidence: Evidence, pair: str, config: GateConfig) -> dict[str, str]:
    """Digests of what decides a pair's figures: its test queries and qrels, and the pool that is searched."""
    names = [f"query/test/mbeir_{pair}_test.jsonl", f"qrels/test/mbeir_{pair}_test_qrels.txt"]
    if config.pool == "global":
        names.append("cand_pool/global/mbeir_union_test_cand_pool.jsonl")
    else:
        names += [f"cand_pool/local/mbeir_{pair}{part}_cand_pool.jsonl" for part in ("", "_test")]
    files = evidence.files or {}
    return {name: files[f"dataset/{name}"] for name in names if f"dataset/{name}" in files}


def _average(paired: dict[str, Paired], config: GateConfig) -> Check:
    means = np.mean([found.means for found in paired.values()], axis=0)
    difference = float(np.mean([found.difference for found in paired.values()]))
    other = float(np.mean([found.other for found in paired.values()]))
    count = sum(found.count for found in paired.values())
    whole = Paired(difference, other, means, 1.0, count)
    margin = config.champion.average_margin
    return _non_inferior("average", whole, margin, p_not_above(means, -margin), config.champion.alpha)


def _non_inferior(scope: str, found: Paired, margin: float, p_value: float, alpha: float) -> Check:
    passed = p_value < alpha
    low, high = percentile_interval(found.means)
    if passed:
        why = f"not worse by {margin:.3f} (p {p_value:.4f})"
    elif high < 0:
        why = f"worse than the champion (p {p_value:.4f}, {found.count:,} queries)"
    else:
        why = f"{found.count:,} queries do not show that it is not worse by {margin:.3f} (p {p_value:.4f})"
    return Check(
        name=NAME,
        scope=scope,
        value=found.difference,
        interval=(low, high),
        threshold=-margin,
        champion=found.other,
        p_value=p_value,
        passed=passed,
        why=why,
    )


def against_baseline(rows: pd.DataFrame, evidence: Evidence, config: GateConfig) -> Iterator[Check]:
    """On complex pairs, the system against the baseline system of the same evaluation.

    Raises:
        DataError: the baseline was not evaluated.
    """
    if config.must_beat_baseline == "off":
        return
    paired = pair_up(rows, evidence.rows(config.baseline, config.pool), config, "baseline")
    complex_pairs = [
        str(pair) for pair in rows["pair"].unique() if evidence.true_routes.get(str(pair)) == "complex"
    ]
    if not complex_pairs:
        why = "not applicable: no pair is known to be complex"
        yield Check(name="beats baseline", scope="complex pairs", passed=None, why=why)
    for pair in complex_pairs:
        yield _beats(pair, paired.get(pair), config)


def _beats(pair: str, found: Paired | None, config: GateConfig) -> Check:
    name = "beats baseline"
    if found is None:
        why = f"{config.baseline} has no records of this pair"
        return Check(name=name, scope=pair, passed=False, why=why, threshold=0.0)
    low, high = percentile_interval(found.means)
    significant = config.must_beat_baseline == "significant"
    passed = low > 0 if significant else found.difference >= 0
    asked = "its interval must lie above 0" if significant else "it must be at least as good"
    return Check(
        name=name,
        scope=pair,
        value=found.difference,
        interval=(low, high),
        threshold=0.0,
        champion=found.other,
        passed=passed,
        why=f"{config.system} minus {config.baseline} is {found.difference:+.3f}; {asked}",
    )
