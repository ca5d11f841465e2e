import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_retriever.search.exact import SLACK, ExactIndex
from trace_retriever.search.store import Vectors


def unit(rng: np.random.Generator, count: int, dim: int = 16) -> Vectors:
    vectors = rng.normal(size=(count, dim))
    unit_vectors: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit_vectors


def by_hand(queries: Vectors, candidates: Vectors, k: int) -> list[list[int]]:
    """All scores, sorted by score and then by row."""
    scores = (queries.astype(np.float64) @ candidates.astype(np.float64).T).astype(np.float32)
    return [sorted(range(len(candidates)), key=lambda row: (-line[row], row))[:k] for line in scores]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 120), st.integers(1, 40), st.integers(1, 30), st.integers(1, 9)
)
def test_equals_sorting_all_scores(seed: int, total: int, queries: int, k: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    candidates, asked = unit(rng, total), unit(rng, queries)
    found = ExactIndex(candidates).search(asked, k, block=block)
    assert found.rows.tolist() == by_hand(asked, candidates, k)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    np.testing.assert_allclose(
        found.scores, np.einsum("qd,qkd->qk", asked, candidates[found.rows]), atol=1e-6
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_ties_fall_to_the_lower_row_even_beyond_the_slack(seed: int, k: int) -> None:
    """Few distinct vectors, each many times: the last result lies within a tie longer than the slack."""
    rng = np.random.default_rng(seed)
    candidates = unit(rng, 3)[rng.integers(0, 3, size=5 * SLACK)]
    asked = unit(rng, 25)
    found = ExactIndex(candidates).search(asked, k)
    expected = by_hand(asked, candidates, k)
    assert found.rows.tolist() == expected


def test_blocks_give_the_same_scores_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    index, asked = ExactIndex(unit(rng, 500)), unit(rng, 50)
    whole = index.search(asked, 10)
    for block in (1, 7, 33):
        part = index.search(asked, 10, block=block)
        np.testing.assert_array_equal(part.rows, whole.rows)
        np.testing.assert_array_equal(part.scores, whole.scores)


@pytest.mark.parametrize(
    ("total", "queries", "k", "shape"), [(0, 3, 5, (3, 0)), (2, 3, 5, (3, 2)), (4, 0, 2, (0, 2))]
)
def test_small_pools_and_no_queries(total: int, queries: int, k: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    found = ExactIndex(unit(rng, total)).search(unit(rng, queries), k)
    assert found.rows.shape == found.scores.shape == shape
