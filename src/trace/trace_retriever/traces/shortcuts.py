"""Do labels agree, and could they be guessed from a query's outside? Kappa, cross-validated shortcuts."""

from collections.abc import Hashable, Sequence

import numpy as np

from trace_retriever.traces.examples import Example
from trace_retriever.traces.words import words

FOLDS = 5


def agreement(one: dict[str, str], other: dict[str, str]) -> dict[str, float | int | None]:
    """Raw agreement and Cohen's kappa of two labellings on the queries that both label.

    Kappa is (p_o - p_e) / (1 - p_e), p_e the agreement expected by chance from the two shares; None where p_e
    is 1 (both labellings have one and the same label throughout).
    """
    shared = [key for key in one if key in other]
    if not shared:
        return {"queries": 0, "raw": None, "kappa": None}
    first = np.array([one[key] == "complex" for key in shared])
    second = np.array([other[key] == "complex" for key in shared])
    observed = float(np.mean(first == second))
    p, q = float(first.mean()), float(second.mean())
    chance = p * q + (1 - p) * (1 - q)
    kappa = (observed - chance) / (1 - chance) if chance < 1 else None
    return {"queries": len(shared), "raw": observed, "kappa": kappa}


def shortcut_scores(
    examples: Sequence[Example], labels: dict[str, str], seed: int
) -> dict[str, float | None]:
    """How well a query's outside alone predicts its label: balanced accuracy, 0.5 not at all, 1 fully.

    Predictors: the modality, the number of words, the modality and the number of words together, the data
    set (whose instruction the model reads).
    """
    shared = [example for example in examples if example.qid in labels]
    complex_ = np.array([labels[example.qid] == "complex" for example in shared], dtype=bool)
    lengths = [len(words(example.words)) for example in shared]
    modalities = [str(example.pair.query_modality.value) for example in shared]
    looks: dict[str, Sequence[Hashable]] = {
        "modality": modalities,
        "length": lengths,
        "modality_and_length": list(zip(modalities, lengths, strict=True)),
        "dataset": [example.pair.dataset for example in shared],
    }
    return {name: balanced_accuracy(values, complex_, seed) for name, values in looks.items()}


def balanced_accuracy(values: Sequence[Hashable], labels: np.ndarray, seed: int) -> float | None:
    """Cross-validated mean of the two classes' recalls when guessing the label from a value.

    In each of 5 seeded folds a value's guess is the class in which it is relatively more frequent in the
    other folds; a value never seen there counts half. None where a class has fewer than 5 members.
    """
    if min(labels.sum(), (~labels).sum()) < FOLDS:
        return None
    _, codes = np.unique([repr(value) for value in values], return_inverse=True)
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
