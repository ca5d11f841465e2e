import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_retriever.search.best import MAX_ROWS, Best, pack, unpack

scores32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(scores32, st.integers(0, MAX_ROWS - 1)), min_size=1, max_size=30))
def test_keys_sort_like_scores_and_rows_and_give_both_back(pairs: list[tuple[float, int]]) -> None:
    scores, rows = np.array([s for s, _ in pairs], np.float32), np.array([r for _, r in pairs], np.int64)
    back, back_rows = unpack(np.sort(pack(scores, rows)))
    assert list(zip(back.tolist(), back_rows.tolist(), strict=True)) == sorted(
        pairs, key=lambda pair: (-pair[0], pair[1])
    )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 9), st.integers(0, 400))
def test_offers_in_any_portions_leave_the_best(seed: int, queries: int, k: int, offers: int) -> None:
    rng = np.random.default_rng(seed)
    asked = rng.integers(0, queries, offers)
    rows = rng.permutation(offers).astype(np.int64)
    scores = rng.integers(-3, 4, offers).astype(np.float32)  # many ties
    best = Best(queries, k)
    for part in np.array_split(np.arange(offers), rng.integers(1, 9)):
        best.offer(asked[part], scores[part], rows[part])
    best.merge()
    found_scores, found_rows = unpack(best.keys)
    for query in range(queries):
        mine = sorted((-scores[at], rows[at]) for at in np.flatnonzero(asked == query))[:k]
        assert found_rows[query, : len(mine)].tolist() == [row for _, row in mine]
        assert found_scores[query, : len(mine)].tolist() == [-score for score, _ in mine]
        assert np.isneginf(found_scores[query, len(mine) :]).all()
        assert best.floor[query] == (found_scores[query, -1] if len(mine) == k else -np.inf)


def test_both_zeros_are_one() -> None:
    assert pack(np.array([-0.0], np.float32), np.array([5])) == pack(
        np.array([0.0], np.float32), np.array([5])
    )


@pytest.mark.parametrize("k", [1, 3])
def test_one_query_with_very_many_offers(k: int) -> None:
    best = Best(2, k)
    best.offer(np.zeros(10_000, np.int64), np.arange(10_000, dtype=np.float32), np.arange(10_000))
    best.merge()
    assert unpack(best.keys)[1][0].tolist() == list(range(9999, 9999 - k, -1))
