"""Does the router know? Whether a low P(`<|emb|>`) predicts that a trace helps.

A query's gain is its headline hit with its trace minus without: 1 helped, 0 no change, -1 harmed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.evaluation.significance import BATCH_VALUES, interval, mean_interval

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
BINS = 8
MARGINS = (0.01, 0.05, 0.1)
FEWEST = 5  # queries of each kind, below which a rank figure says nothing


def reliability(
    table: "pd.DataFrame", pair_routes: dict[str, str], *, resamples: int, seed: int
) -> dict[str, Any]:
    """How far P(`<|emb|>`) can be relied on.

    Args:
        table: see `outcomes.outcomes`.
        pair_routes: pair → its true route, which says which pairs are taken together.
        resamples, seed: of the bootstrap behind each 95 % interval.

    Returns:
        `between[margin]`: share of queries whose probability is further than the margin from 0 and from 1.
        `groups`: of all queries, of the simple and the complex pairs, and of each pair; see `_group`.
        `truth`: `accuracy` of the model's own route and Brier score of P as the probability of "simple"; None
        where the true routes are not known.
    """
    options = {"resamples": resamples, "seed": seed}
    p_emb = table["p_emb"].to_numpy(np.float64)
    kinds = table["pair"].map(pair_routes)
    groups = {"all pairs": table}
    groups |= {f"{kind} pairs": table[kinds == kind] for kind in ("simple", "complex")}
    groups |= {str(pair): rows for pair, rows in table.groupby("pair", sort=False)}
    return {
        "between": {
            str(margin): float(np.mean((p_emb > margin) & (p_emb < 1 - margin))) for margin in MARGINS
        },
        "groups": {name: _group(rows, options) for name, rows in groups.items() if len(rows)},
        "truth": _truth(table),
    }


def _group(rows: "pd.DataFrame", options: dict[str, int]) -> dict[str, Any]:
    """A group's gains: counts, mean, `bins` by P, and how P orders them.

    `rank_correlation`: Spearman's, of 1 - P with the gain. `auc`: how often a query that its trace helps has
    a lower P than one that it does not help. Both are None where too few gains differ.
    """
    p_emb = rows["p_emb"].to_numpy(np.float64)
    gain = (rows["reasoned"] - rows["direct"]).to_numpy(np.float64)
    helped, changed = int((gain > 0).sum()), int((gain != 0).sum())
    some_spread = len(np.unique(p_emb)) > 1
    return {
        "queries": len(rows),
        "helped": helped,
        "harmed": changed - helped,
        "gain": mean_interval(gain, **options).as_dict(),
        "bins": _bins(p_emb, gain, options),
        "rank_correlation": _ranked(spearman, p_emb, gain, options)
        if some_spread and FEWEST <= changed <= len(rows) - FEWEST
        else None,
        "auc": _ranked(auc, p_emb, gain, options)
        if some_spread and FEWEST <= helped <= len(rows) - FEWEST
        else None,
    }


def _bins(p_emb: Floats, gain: Floats, options: dict[str, int]) -> list[dict[str, Any]]:
    """Mean gain in bins of about equally many queries by P, in ascending order."""
    import pandas as pd

    codes = pd.qcut(p_emb, BINS, labels=False, duplicates="drop") if len(np.unique(p_emb)) > 1 else 0 * p_emb
    return [
        {
            "lowest": float(p_emb[inside].min()),
            "median": float(np.median(p_emb[inside])),
            "highest": float(p_emb[inside].max()),
            "queries": int(inside.sum()),
            "gain": mean_interval(gain[inside], **options).as_dict(),
        }
        for code in np.unique(codes)
        for inside in [np.asarray(codes) == code]
    ]


def spearman(p_emb: Floats, gain: Floats, axis: int = -1) -> Floats:
    """Spearman's rank correlation of 1 - P with the gain, along an axis; 0 where either does not vary."""
    from scipy.stats import rankdata

    first, second = (rankdata(values, axis=axis) for values in (-p_emb, gain))
    first, second = (ranks - ranks.mean(axis=axis, keepdims=True) for ranks in (first, second))
    spread = np.sqrt((first**2).sum(axis=axis) * (second**2).sum(axis=axis))
    together: Floats = (first * second).sum(axis=axis)
    found: Floats = np.divide(together, spread, out=np.zeros_like(spread), where=spread > 0)
    return found


def auc(p_emb: Floats, gain: Floats, axis: int = -1) -> Floats:
    """Share of (helped, not helped) queries of which the helped one has the lower P; ties count half.

    This is the Mann-Whitney statistic over the number of pairs; 0.5 where there are none.
    """
    from scipy.stats import rankdata

    helped = gain > 0
    count = helped.sum(axis=axis).astype(float)
    ranks = (rankdata(-p_emb, axis=axis) * helped).sum(axis=axis)
    pairs = count * (gain.shape[axis] - count)
    below = ranks - count * (count + 1) / 2
    found: Floats = np.divide(below, pairs, out=np.full_like(count, 0.5), where=pairs > 0)
    return found


def _ranked(
    statistic: Callable[..., Floats], p_emb: Floats, gain: Floats, options: dict[str, int]
) -> dict[str, float]:
    """A rank figure with its interval: queries are resampled, P and gain together."""
    from scipy.stats import bootstrap

    drawn = bootstrap(
        (p_emb, gain),
        statistic,
        n_resamples=options["resamples"],
        batch=max(1, BATCH_VALUES // len(gain)),
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(options["seed"]),
    ).bootstrap_distribution
    return interval(float(statistic(p_emb, gain)), drawn).as_dict()


def _truth(table: "pd.DataFrame") -> dict[str, float] | None:
    if table["true_route"].isna().any():
        return None
    simple = (table["true_route"] == "simple").to_numpy(np.float64)
    return {
        "accuracy": float(np.mean(table["auto_route"] == table["true_route"])),
        "brier": float(np.mean((table["p_emb"].to_numpy(np.float64) - simple) ** 2)),
    }
