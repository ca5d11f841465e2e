import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_retriever.errors import DataError
from trace_retriever.mbeir.ids import IdSet, candidate_id, candidate_number, query_id, query_number
from trace_retriever.mbeir.records import CANDIDATE_ID_SPACE, QUERY_ID_SPACE


@given(st.integers(0, 10**12))
def test_numbers_of_queries_come_back(number: int) -> None:
    assert query_number(query_id(number)) == number


@given(st.integers(0, 10**12))
def test_numbers_of_candidates_come_back(number: int) -> None:
    assert candidate_number(candidate_id(number)) == number


@given(st.integers(0, 30), st.integers(0, QUERY_ID_SPACE - 1))
def test_query_ids_come_back(dataset: int, number: int) -> None:
    assert query_id(query_number(f"{dataset}:{number}")) == f"{dataset}:{number}"


@given(st.integers(0, 30), st.integers(0, CANDIDATE_ID_SPACE - 1))
def test_candidate_ids_come_back(dataset: int, number: int) -> None:
    assert candidate_id(candidate_number(f"{dataset}:{number}")) == f"{dataset}:{number}"


def test_numbers_are_those_of_uniir() -> None:
    assert query_number("9:25") == 9 * 500_000 + 25
    assert candidate_number("9:25") == 9 * 10_000_000 + 25


@pytest.mark.parametrize(
    "value", ["9:500000", "9:10000000", "9", "9:", ":9", "a:1", "1:-1", "1:2:3", "1: 2", "²:1", ""]
)
def test_a_bad_query_id_is_refused(value: str) -> None:
    with pytest.raises(DataError) as error:
        query_number(value)
    assert repr(value) in str(error.value)


def test_the_bounds_of_queries_and_candidates_differ() -> None:
    assert candidate_number("0:9999999") == 9_999_999
    with pytest.raises(DataError, match="below 10,000,000"):
        candidate_number("0:10000000")
    with pytest.raises(DataError, match="below 500,000"):
        query_number("0:500000")


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(DataError, match="not negative"):
        query_id(-1)


@given(st.lists(st.integers(0, 3 * 10**8) | st.integers(0, 20)))
def test_an_id_set_is_a_set(numbers: list[int]) -> None:
    seen, plain = IdSet(), set[int]()
    for number in numbers:
        assert seen.add(number) == (number not in plain)
        plain.add(number)


def test_ids_that_lie_close_together_cost_a_few_bits() -> None:
    def size(count: int) -> int:
        seen = IdSet()
        tracemalloc.start()
        for number in range(10**8, 10**8 + count):
            seen.add(number)
        found = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return found

    small, large = 20_000, 120_000
    assert 8 * (size(large) - size(small)) / (large - small) < 2, "a set takes some 600 bits"
