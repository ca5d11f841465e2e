"""M-BEIR's metric and its neighbours, per query, from which candidates of a ranking are positives.

Shape legend: Q queries, K ranks (best first). "Recall@k" of M-BEIR is hit@k; true recall and nDCG stand
beside it.
"""

from collections.abc import Sequence, Set

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def relevance(rankings: Sequence[Sequence[str]], positives: Sequence[Set[str]]) -> Bools:
    """Which ranked candidates are positives, [Q, K]; all rankings have the same length."""
    width = len(rankings[0]) if rankings else 0
    found = [[did in good for did in ranking] for ranking, good in zip(rankings, positives, strict=True)]
    return np.array(found, dtype=bool).reshape(len(rankings), width)


def hits(relevant_QK: Bools, k: int) -> Bools:
    """hit@k: whether any positive is among the first k, [Q]."""
    found: Bools = np.any(relevant_QK[:, :k], axis=1)
    return found


def best_ranks(relevant_QK: Bools) -> Ints:
    """Rank of the best positive, from 1, or -1 where none was found, [Q]."""
    if not relevant_QK.shape[1]:
        return np.full(len(relevant_QK), -1, np.int64)
    return np.where(relevant_QK.any(axis=1), relevant_QK.argmax(axis=1) + 1, -1)


def recalls(relevant_QK: Bools, positives_Q: Ints, k: int) -> Floats:
    """True recall@k: the share of all positives, reachable or not, in the first k, [Q]; 0 without any."""
    shares: Floats = relevant_QK[:, :k].sum(axis=1) / np.maximum(positives_Q, 1)
    return shares


def ndcgs(relevant_QK: Bools, positives_Q: Ints, k: int) -> Floats:
    """nDCG@k with binary gains, against a ranking that starts with all positives, [Q]; 0 without any."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gained = (relevant_QK[:, :k] * discounts[: relevant_QK.shape[1]]).sum(axis=1)
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(positives_Q, k)]
    shares: Floats = np.divide(gained, ideal, out=np.zeros(len(gained)), where=ideal > 0)
    return shares


def wrong_modality(modalities_QK: NDArray[np.str_], wanted: str, k: int = 10) -> Floats:
    """Share of the first k results whose modality is not the one asked for, [Q]; 0 without results."""
    shown = modalities_QK[:, :k]
    shares: Floats = (shown != wanted).sum(axis=1) / max(shown.shape[1], 1)
    return shares
