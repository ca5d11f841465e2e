"""Traces that a query did not write: what is put in a trace's place to see whether it is used."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

KINDS = ("own", "true", "other", "shuffled", "flipped", "empty")
SIGNS = frozenset(":;,")


def other_traces(own: Sequence[str], true: Sequence[str], *, seed: int) -> dict[str, list[str]]:
    """Six traces for each of the queries of one pair.

    Args:
        own: what the model wrote.
        true: what a perfect reasoner writes.
        seed: of the draws.

    Returns:
        By kind: `own`; `true`; `other`, what the model wrote for another of the queries; `shuffled`, its own
        words in a random order; `flipped`, its own with one word of the answer changed for one that stands
        there in another answer; `empty`.
    """
    rng = np.random.default_rng([seed, 8])
    shift = 1 + int(rng.integers(max(1, len(own) - 1)))
    words = _by_place(own)
    return {
        "own": list(own),
        "true": list(true),
        "other": [own[(at + shift) % len(own)] for at in range(len(own))],
        "shuffled": [_shuffled(text, rng) for text in own],
        "flipped": [_flipped(text, words, rng) for text in own],
        "empty": [""] * len(own),
    }


def _shuffled(text: str, rng: np.random.Generator) -> str:
    words = text.split()
    return " ".join(words[int(at)] for at in rng.permutation(len(words)))


def _answer(text: str) -> tuple[str, list[str]]:
    """What stands before the answer, and the answer's words."""
    before, mark, answer = text.rpartition("target :")
    return f"{before}{mark}", answer.split()


def _by_place(texts: Sequence[str]) -> dict[tuple[int, int], set[str]]:
    """Words of answers by (length of the answer, place in it), so that a name stands for a name."""
    words: dict[tuple[int, int], set[str]] = defaultdict(set)
    for text in texts:
        answer = _answer(text)[1]
        for place, word in enumerate(answer):
            words[len(answer), place].add(word)
    return words


def _flipped(text: str, words: dict[tuple[int, int], set[str]], rng: np.random.Generator) -> str:
    """One word changed; the text itself where no other word is known for any place."""
    before, answer = _answer(text)
    options = [
        (place, others)
        for place, word in enumerate(answer)
        if word not in SIGNS and (others := sorted(words[len(answer), place] - {word} - SIGNS))
    ]
    if not options:
        return text
    place, others = options[int(rng.integers(len(options)))]
    answer[place] = others[int(rng.integers(len(others)))]
    return f"{before} {' '.join(answer)}".strip()
