import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.search.vectors import by_hand, unit

from trace_retriever.errors import DataError
from trace_retriever.search.exact import ExactIndex
from trace_retriever.search.margin import Precision
from trace_retriever.store.filling import write_matrix

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
either = pytest.mark.parametrize("precision", PRECISIONS)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 300),
    st.integers(1, 40),
    st.integers(1, 30),
    st.integers(1, 130),
    st.sampled_from(PRECISIONS),
)
def test_equals_sorting_all_scores(
    seed: int, total: int, queries: int, k: int, block: int, precision: Precision
) -> None:
    rng = np.random.default_rng(seed)
    candidates, asked = unit(rng, total), unit(rng, queries)
    found = ExactIndex(candidates, block=block, precision=precision).search(asked, k)
    assert found.rows.tolist() == by_hand(asked, candidates, k)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    np.testing.assert_allclose(
        found.scores, np.einsum("qd,qkd->qk", asked, candidates[found.rows]), atol=1e-6
    )


@either
@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1.0, 37.0])
def test_lengths_other_than_one(precision: Precision, scale: float) -> None:
    rng = np.random.default_rng(0)
    candidates = (unit(rng, 500) * rng.uniform(0.1, 10, (500, 1)) * scale).astype(np.float32)
    asked = unit(rng, 20) * np.float32(scale)
    found = ExactIndex(candidates, block=64, precision=precision).search(asked, 9)
    assert found.rows.tolist() == by_hand(asked, candidates, 9)


@either
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 200))
def test_ties_fall_to_the_lower_row(precision: Precision, seed: int, k: int, block: int) -> None:
    """Few distinct vectors, each many times: the last result lies within a tie longer than the results."""
    rng = np.random.default_rng(seed)
    candidates = unit(rng, 3)[rng.integers(0, 3, size=150)]
    asked = unit(rng, 25)
    found = ExactIndex(candidates, block=block, precision=precision).search(asked, k)
    assert found.rows.tolist() == by_hand(asked, candidates, k)


@either
@pytest.mark.parametrize("spread", [1e-2, 1e-4, 1e-7])
def test_a_crowd_of_nearly_equal_vectors(precision: Precision, spread: float) -> None:
    """Scores that bfloat16 cannot tell apart are told apart all the same."""
    rng = np.random.default_rng(3)
    candidates = (unit(rng, 1) + spread * unit(rng, 3000)).astype(np.float32)
    asked = (unit(rng, 1) + spread * unit(rng, 7)).astype(np.float32)
    found = ExactIndex(candidates, block=256, precision=precision).search(asked, 10)
    assert found.rows.tolist() == by_hand(asked, candidates, 10)


@either
def test_opposite_vectors_only(precision: Precision) -> None:
    """All scores are negative, where the bits of floats are in reverse order."""
    rng = np.random.default_rng(4)
    asked = np.abs(unit(rng, 5))
    candidates = -np.abs(unit(rng, 700))
    found = ExactIndex(candidates, block=100, precision=precision).search(asked, 6)
    assert found.rows.tolist() == by_hand(asked, candidates, 6)
    assert (found.scores < 0).all()


def test_blocks_types_and_groups_give_the_same_scores_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    candidates, asked = unit(rng, 500), unit(rng, 50)
    whole = ExactIndex(candidates, precision="float32").search(asked, 10)
    for block in (7, 512):
        for precision in PRECISIONS:
            for keep in (False, True):
                for memory in (1, 2**30):  # one query a pass; all in one
                    index = ExactIndex(candidates, block=block, precision=precision, keep=keep, memory=memory)
                    for _ in range(2):  # what is kept is used in the second search
                        part = index.search(asked[:: 1 if memory > 1 else 7], 10)
                        np.testing.assert_array_equal(part.rows, whole.rows[:: 1 if memory > 1 else 7])
                        np.testing.assert_array_equal(part.scores, whole.scores[:: 1 if memory > 1 else 7])


@either
def test_a_score_does_not_depend_on_its_company(precision: Precision) -> None:
    rng = np.random.default_rng(2)
    candidates, asked = unit(rng, 400, 129), unit(rng, 30, 129)
    together = ExactIndex(candidates, precision=precision).search(asked, 400)
    for query in (0, 13, 29):
        for row in (0, 200, 399):
            alone = ExactIndex(candidates[row : row + 1]).search(asked[query : query + 1], 1)
            assert alone.scores[0, 0] == together.scores[query][together.rows[query] == row][0]


@either
@pytest.mark.parametrize("keep", [False, True])
def test_a_local_pool_is_some_rows_of_the_matrix(precision: Precision, keep: bool) -> None:
    rng = np.random.default_rng(5)
    candidates, asked = unit(rng, 900), unit(rng, 20)
    for rows in (np.arange(100, 400), np.sort(rng.choice(900, 250, replace=False))):
        index = ExactIndex(candidates, rows, block=64, precision=precision, keep=keep)
        for _ in range(2):
            found = index.search(asked, 8)
            assert found.rows.tolist() == by_hand(asked, candidates[rows], 8)


@either
def test_float16_shards_on_disk_equal_the_array_in_memory(tmp_path: Path, precision: Precision) -> None:
    rng = np.random.default_rng(6)
    stored, asked = unit(rng, 700, 32).astype(np.float16), unit(rng, 20, 32)
    matrix = write_matrix(tmp_path / "m", [stored], shape=stored.shape, shard_rows=128)
    for rows in (None, np.arange(5, 640, 3)):
        here = ExactIndex(stored, rows, block=100, precision=precision).search(asked, 9)
        there = ExactIndex(matrix, rows, block=100, precision=precision).search(asked, 9)
        np.testing.assert_array_equal(here.rows, there.rows)
        np.testing.assert_array_equal(here.scores, there.scores)
    expected = by_hand(asked, stored.astype(np.float32), 9)
    assert ExactIndex(matrix, precision=precision).search(asked, 9).rows.tolist() == expected


class Counted:
    """A matrix that counts how often each row is read."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self.rows, self.shape, self.dtype = rows, rows.shape, rows.dtype
        self.read = np.zeros(len(rows), np.int64)
        self.largest = 0

    def __getitem__(self, key: slice | NDArray[np.int64]) -> NDArray[Any]:
        self.read[key] += 1
        found: NDArray[Any] = self.rows[key].copy()
        self.largest = max(self.largest, len(found))
        return found


@either
def test_each_candidate_is_read_once_and_a_block_at_a_time(precision: Precision) -> None:
    rng = np.random.default_rng(7)
    counted = Counted(unit(rng, 3000, 32).astype(np.float16))
    ExactIndex(counted, block=256, precision=precision).search(unit(rng, 1200, 32), 20)
    assert counted.read.tolist() == [1] * 3000
    assert counted.largest == 256


def test_memory_stays_within_what_was_given() -> None:
    rng = np.random.default_rng(8)
    candidates, asked = unit(rng, 20_000, 64).astype(np.float16), unit(rng, 1500, 64)
    memory = 48 * 2**20
    index = ExactIndex(candidates, memory=memory, precision="float32")
    tracemalloc.start()
    index.search(asked, 100)
    peak = tracemalloc.get_traced_memory()[1]  # NumPy's part; torch's tile is 32 MiB at most
    tracemalloc.stop()
    assert peak < memory


def test_kept_candidates_must_fit() -> None:
    rng = np.random.default_rng(9)
    counted = Counted(unit(rng, 3000, 32))
    for memory, passes in ((2**30, 1), (2**18, 2)):
        counted.read[:] = 0
        index = ExactIndex(counted, keep=True, memory=memory, precision="float32")
        for _ in range(2):
            index.search(unit(rng, 1, 32), 1)
        assert counted.read.min() == passes


@pytest.mark.parametrize(
    ("total", "queries", "k", "shape"), [(0, 3, 5, (3, 0)), (2, 3, 5, (3, 2)), (4, 0, 2, (0, 2))]
)
def test_small_pools_and_no_queries(total: int, queries: int, k: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    found = ExactIndex(unit(rng, total)).search(unit(rng, queries), k)
    assert found.rows.shape == found.scores.shape == shape


def test_k_may_be_the_whole_pool() -> None:
    rng = np.random.default_rng(0)
    candidates, asked = unit(rng, 300), unit(rng, 4)
    found = ExactIndex(candidates, block=50).search(asked, 300)
    assert found.rows.tolist() == by_hand(asked, candidates, 300)


@either
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_named(precision: Precision, bad: float) -> None:
    rng = np.random.default_rng(0)
    candidates, asked = unit(rng, 300), unit(rng, 4)
    candidates[217, 3] = bad
    with pytest.raises(DataError, match="place 217"):
        ExactIndex(candidates, block=50, precision=precision).search(asked, 3)
    asked[1, 0] = bad
    with pytest.raises(DataError, match="query"):
        ExactIndex(unit(rng, 9), precision=precision).search(asked, 3)


def test_other_lengths_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="queries of 8 entries, candidates of 16"):
        ExactIndex(unit(rng, 9)).search(unit(rng, 2, 8), 3)


def test_a_shorter_type_that_the_caller_allows_torch_is_not_used() -> None:
    rng = np.random.default_rng(0)
    candidates, asked = unit(rng, 3000, 64), unit(rng, 40, 64)
    torch.set_float32_matmul_precision("medium")  # products of float32 in bfloat16, where the CPU has it
    try:
        found = ExactIndex(candidates, precision="float32").search(asked, 20)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert found.rows.tolist() == by_hand(asked, candidates, 20)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@either
def test_a_gpu_finds_the_same_bits(precision: Precision) -> None:
    rng = np.random.default_rng(10)
    candidates, asked = unit(rng, 50_000, 256).astype(np.float16), unit(rng, 700, 256)
    here = ExactIndex(candidates, precision="float32").search(asked, 50)
    for keep in (False, True):
        index = ExactIndex(candidates, precision=precision, device="cuda", keep=keep)
        for _ in range(2):
            there = index.search(asked, 50)
            np.testing.assert_array_equal(here.rows, there.rows)
            np.testing.assert_array_equal(here.scores, there.scores)
