"""A small, explainable text matcher: words and two-word phrases, weighted by rarity, cosine.

Order matters through the phrases: `crab left , dog top` and `crab top , dog left` share all words and no
    phrase.
Phrases do not cross punctuation, so the order of the parts does not matter.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from trace_retriever.traces.words import phrases

Floats = NDArray[np.float64]


def features(text: str) -> list[str]:
    """The distinct words and two-word phrases of a text, in order of appearance."""
    found: list[str] = []
    for said in phrases(text):
        found += said
        found += [f"{one} {two}" for one, two in pairwise(said)]
    return list(dict.fromkeys(found))


class Corpus:
    """Texts as sparse unit vectors over their features.

    A feature's weight is its inverse document frequency, ln((1 + C) / (1 + df)) + 1 for C texts; features
    that no text of the corpus has weigh nothing.

    Args:
        texts: C texts.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        found = [features(text) for text in texts]
        self._column: dict[str, int] = {}
        for text in found:
            for feature in text:
                self._column.setdefault(feature, len(self._column))
        counts = np.zeros(len(self._column))
        for text in found:
            counts[[self._column[feature] for feature in text]] += 1
        self._idf: Floats = np.log((1 + len(texts)) / (1 + counts)) + 1
        self._texts_CF = self._matrix(found)

    def scores(self, texts: Sequence[str]) -> Floats:
        """Cosine of each text with each text of the corpus, float64 [N, C]."""
        scores: Floats = (self._matrix([features(text) for text in texts]) @ self._texts_CF.T).toarray()
        return scores

    def support(self, text: str, by: str) -> float:
        """How much of `text` another text bears out: the share of its phrases that are found there.

        A word counts by itself when it is in no phrase; phrases of words that no text of the corpus has do
        not count. 1 for a text without any phrase that counts.
        """
        found = features(text)
        phrased = {word for feature in found if " " in feature for word in feature.split()}
        units = [
            feature
            for feature in found
            if feature not in phrased and any(word in self._column for word in feature.split())
        ]
        if not units:
            return 1.0
        there = set(features(by))
        return sum(unit in there for unit in units) / len(units)

    def _matrix(self, found: Sequence[Sequence[str]]) -> sparse.csr_array:
        """Rows of unit length, float64 [N, F]."""
        columns, data, ends = [], [], [0]
        for text in found:
            known = [self._column[feature] for feature in text if feature in self._column]
            weights = self._idf[known]
            columns += known
            data += (weights / (np.linalg.norm(weights) or 1.0)).tolist()
            ends.append(len(columns))
        shape = (len(found), max(len(self._column), 1))
        return sparse.csr_array((data, np.asarray(columns, dtype=np.int64), ends), shape=shape)
