import numpy as np
import pytest

from trace_retriever.traces.examples import Example
from trace_retriever.traces.shortcuts import agreement, balanced_accuracy, shortcut_scores


def test_kappa_of_a_worked_example() -> None:
    one = {str(n): "complex" if n < 50 else "simple" for n in range(100)}
    other = {str(n): "complex" if n < 30 or n >= 90 else "simple" for n in range(100)}
    found = agreement(one, other)  # p_o = 0.7, p_e = 0.5 * 0.4 + 0.5 * 0.6 = 0.5
    assert found["queries"] == 100
    assert found["raw"] == pytest.approx(0.7)
    assert found["kappa"] == pytest.approx(0.4)


def test_kappa_is_undefined_without_variation_or_overlap() -> None:
    same = {"a": "simple", "b": "simple"}
    assert agreement(same, same) == {"queries": 2, "raw": 1.0, "kappa": None}
    assert agreement(same, {"c": "simple"})["raw"] is None


def test_balanced_accuracy_is_one_for_a_give_away_and_a_half_for_noise() -> None:
    labels = np.array([n % 4 == 0 for n in range(400)])
    assert balanced_accuracy(["x" if label else "y" for label in labels], labels, seed=0) == 1.0
    assert balanced_accuracy(["z"] * 400, labels, seed=0) == pytest.approx(0.5, abs=0.05)
    unique = list(range(400))  # remembers, but cannot generalise
    assert balanced_accuracy(unique, labels, seed=0) == 0.5


def test_too_few_of_a_class_have_no_score() -> None:
    assert balanced_accuracy([1, 2, 3], np.array([True, False, False]), seed=0) is None


def test_scores_of_a_data_set_whose_pairs_decide(examples: list[Example]) -> None:
    labels = {example.qid: "complex" if example.pair.is_complex else "simple" for example in examples}
    scores = shortcut_scores(examples, labels, seed=0)
    assert scores["dataset"] == 1.0
    assert scores["modality"] == pytest.approx(0.75)  # pictures with words are complex, words are both
