from hypothesis import given
from hypothesis import strategies as st

from trace_retriever.engine.plan import batches, windows


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    found = list(batches(lengths, budget))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 200))
def test_batches_go_from_short_to_long(lengths: list[int], budget: int) -> None:
    order = [lengths[index] for batch in batches(lengths, budget) for index in batch]
    assert order == sorted(order)


def test_windows_cover_the_whole_range() -> None:
    assert [list(window) for window in windows(5, 2)] == [[0, 1], [2, 3], [4]]
    assert list(windows(0, 2)) == []
