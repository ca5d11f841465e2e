"""Do labels agree, and could they be guessed from a query's outside? Kappa, cross-validated shortcuts."""

from collections.abc import Hashable, Sequence

import numpy as np

from trace_retriever.mbeir.pairs import DATASET_IDS
from trace_retriever.mbeir.records import Modality
from trace_retriever.traces.examples import Example, homes_of, words_of
from trace_retriever.traces.judgements import Routes
from trace_retriever.traces.lazy import Ints
from trace_retriever.traces.words import words

FOLDS = 5


def agreement(one: dict[str, str], other: dict[str, str]) -> dict[str, float | int | None]:
    """Raw agreement and Cohen's kappa of two labellings on the queries that both label.

    Kappa is (p_o - p_e) / (1 - p_e), p_e the agreement expected by chance from the two shares; None where p_e
    is 1 (both labellings have one and the same label throughout).
    """
    shared = [key for key in one if key in other]
    sides = [np.array([side[key] == "complex" for key in shared], dtype=np.int8) for side in (one, other)]
    return agreement_of(*sides)


def agreement_of(one_N: Routes, other_N: Routes) -> dict[str, float | int | None]:
    """As `agreement`, of two strategies' labels of the same N queries; -1 is no label."""
    both = (one_N >= 0) & (other_N >= 0)
    if not both.any():
        return {"queries": 0, "raw": None, "kappa": None}
    first, second = one_N[both] == 1, other_N[both] == 1
    observed = float(np.mean(first == second))
    p, q = float(first.mean()), float(second.mean())
    chance = p * q + (1 - p) * (1 - q)
    kappa = (observed - chance) / (1 - chance) if chance < 1 else None
    return {"queries": int(both.sum()), "raw": observed, "kappa": kappa}


def shortcut_scores(
    examples: Sequence[Example], labels: dict[str, str], seed: int
) -> dict[str, float | None]:
    """How well a query's outside alone predicts its label: balanced accuracy, 0.5 not at all, 1 fully.

    Predictors: the modality, the number of words, the modality and the number of words together, the data
    set (whose instruction the model reads).
    """
    known = np.array([{"simple": 0, "complex": 1}.get(labels.get(e.qid, ""), -1) for e in examples])
    return shortcut_scores_of(outsides(examples), known.astype(np.int8), seed)


def outsides(examples: Sequence[Example]) -> dict[str, Ints]:
    """What each of N queries looks like from the outside, as a number: equal looks, equal numbers."""
    modalities, datasets = {name: place for place, name in enumerate(Modality)}, DATASET_IDS
    homes = [(modalities[pair.query_modality], datasets[pair.dataset]) for pair, _ in homes_of(examples)]
    modality_N, dataset_N = np.array(homes, dtype=np.int64).reshape(-1, 2).T
    length_N = np.fromiter((len(words(text)) for text in words_of(examples)), np.int64, len(examples))
    both_N = length_N * len(modalities) + modality_N
    return {"modality": modality_N, "length": length_N, "modality_and_length": both_N, "dataset": dataset_N}


def shortcut_scores_of(looks: dict[str, Ints], routes_N: Routes, seed: int) -> dict[str, float | None]:
    """As `shortcut_scores`, of `outsides` and a strategy's labels; -1 is no label."""
    known = routes_N >= 0
    complex_ = routes_N[known] == 1
    return {name: balanced_accuracy(values[known], complex_, seed) for name, values in looks.items()}


def balanced_accuracy(values: Sequence[Hashable] | Ints, labels: np.ndarray, seed: int) -> float | None:
    """Cross-validated mean of the two classes' recalls when guessing the label from a value.

    In each of 5 seeded folds a value's guess is the class in which it is relatively more frequent in the
    other folds; a value never seen there counts half. None where a class has fewer than 5 members.
    """
    if min(labels.sum(), (~labels).sum()) < FOLDS:
        return None
    keys = values if isinstance(values, np.ndarray) else [repr(value) for value in values]
    _, codes = np.unique(keys, return_inverse=True)
    fold = np.empty(len(labels), dtype=np.int64)
    rng = np.random.default_rng(seed)
    for kind in (True, False):  # each fold has its share of both classes
        members = np.flatnonzero(labels == kind)
        fold[rng.permutation(members)] = np.arange(len(members)) % FOLDS
    right = np.zeros(len(labels))
    for held_out in range(FOLDS):
        rest, test = fold != held_out, fold == held_out
        rate = {
            kind: np.bincount(codes[rest & (labels == kind)], minlength=codes.max() + 1)
            / (rest & (labels == kind)).sum()
            for kind in (True, False)
        }
        lean = (rate[True] - rate[False])[codes[test]]
        right[test] = np.where(lean == 0, 0.5, (lean > 0) == labels[test])
    return float((right[labels].mean() + right[~labels].mean()) / 2)
