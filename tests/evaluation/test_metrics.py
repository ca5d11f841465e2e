import math

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_retriever.evaluation import metrics

DIDS = [f"1:{number}" for number in range(12)]
RANKING = st.permutations(DIDS).map(lambda order: order[:8])
POSITIVES = st.sets(st.sampled_from([*DIDS, "1:98", "1:99"]), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(RANKING, POSITIVES), min_size=1, max_size=6), st.integers(1, 10))
def test_metrics_equal_their_definitions(queries: list[tuple[list[str], set[str]]], k: int) -> None:
    relevant = metrics.relevance([ranking for ranking, _ in queries], [good for _, good in queries])
    counts = np.array([len(good) for _, good in queries])
    for number, (ranking, good) in enumerate(queries):
        places = [place for place, did in enumerate(ranking, start=1) if did in good]
        inside = [place for place in places if place <= k]
        ideal = sum(1 / math.log2(place + 1) for place in range(1, min(len(good), k) + 1))
        assert metrics.best_ranks(relevant)[number] == (places[0] if places else -1)
        assert metrics.hits(relevant, k)[number] == bool(inside)
        assert metrics.recalls(relevant, counts, k)[number] == pytest.approx(len(inside) / len(good))
        gained = sum(1 / math.log2(place + 1) for place in inside)
        assert metrics.ndcgs(relevant, counts, k)[number] == pytest.approx(gained / ideal)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(RANKING, POSITIVES), min_size=1, max_size=6))
def test_metrics_equal_pytrec_eval(queries: list[tuple[list[str], set[str]]]) -> None:
    """Scores fall strictly with the rank: pytrec_eval breaks ties its own way."""
    qrels = {str(n): dict.fromkeys(good, 1) for n, (_, good) in enumerate(queries)}
    run = {
        str(n): {did: float(-rank) for rank, did in enumerate(ranking)}
        for n, (ranking, _) in enumerate(queries)
    }
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"recall.5", "ndcg_cut.5", "success.5"}).evaluate(run)
    relevant = metrics.relevance([ranking for ranking, _ in queries], [good for _, good in queries])
    counts = np.array([len(good) for _, good in queries])
    for name, ours in (
        ("success_5", metrics.hits(relevant, 5)),
        ("recall_5", metrics.recalls(relevant, counts, 5)),
        ("ndcg_cut_5", metrics.ndcgs(relevant, counts, 5)),
    ):
        expected = [theirs[str(n)][name] for n in range(len(queries))]
        np.testing.assert_allclose(ours.astype(float), expected, atol=1e-9)


def test_an_empty_pool_finds_nothing() -> None:
    relevant = metrics.relevance([[], []], [{"1:1"}, {"1:2"}])
    counts = np.array([1, 1])
    assert relevant.shape == (2, 0)
    assert metrics.best_ranks(relevant).tolist() == [-1, -1]
    assert not metrics.hits(relevant, 5).any()
    assert metrics.recalls(relevant, counts, 5).tolist() == [0, 0]
    assert metrics.ndcgs(relevant, counts, 5).tolist() == [0, 0]
    assert metrics.wrong_modality(np.empty((2, 0), dtype=str), "text").tolist() == [0, 0]


def test_a_positive_outside_the_pool_counts_against_true_recall_only() -> None:
    relevant = metrics.relevance([["1:1", "1:2"]], [{"1:1", "1:99"}])
    assert metrics.hits(relevant, 1).tolist() == [True]
    assert metrics.recalls(relevant, np.array([2]), 2).tolist() == [0.5]


def test_wrong_modality_is_a_share_of_what_is_shown() -> None:
    shown = np.array([["text", "image", "image"], ["text", "text", "text"]])
    np.testing.assert_allclose(metrics.wrong_modality(shown, "text"), [2 / 3, 0])
    np.testing.assert_allclose(metrics.wrong_modality(shown, "text", k=1), [0, 0])
