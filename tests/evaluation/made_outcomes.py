"""Made outcomes: queries of two pairs whose traces help, harm or change nothing."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def outcomes_of(
    pair: str,
    p_emb: Sequence[float],
    direct: Sequence[float],
    reasoned: Sequence[float],
    tokens: float = 10.0,
) -> pd.DataFrame:
    """Outcomes of a pair's queries; `auto` reasons below a probability of one half, and so it should."""
    routes = np.where(np.asarray(p_emb) < 0.5, "complex", "simple")
    return pd.DataFrame(
        {
            "pair": pair,
            "qid": [f"1:{number}" for number in range(len(p_emb))],
            "p_emb": np.asarray(p_emb, np.float32).astype(np.float64),
            "auto_route": routes,
            "true_route": routes.astype(object),
            "direct": np.asarray(direct, float),
            "reasoned": np.asarray(reasoned, float),
            "tokens": tokens,
        }
    )


def random_outcomes(seed: int, queries: int = 60) -> pd.DataFrame:
    """Two pairs of unequal size, ties and certain probabilities among them."""
    rng = np.random.default_rng(seed)
    parts = []
    for pair, count in (("mojihop_task1", queries), ("mojicap_task0", queries // 3)):
        p_emb = np.round(rng.random(count), 1)
        direct, reasoned = rng.random(count) < 0.5, rng.random(count) < 0.7
        part = outcomes_of(pair, p_emb.tolist(), direct.tolist(), reasoned.tolist())
        parts.append(part.assign(tokens=rng.integers(0, 30, count).astype(float)))
    return pd.concat(parts, ignore_index=True)
