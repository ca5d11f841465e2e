"""A pool's lookups, by numbers alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trace_retriever.evaluation.tasks import Pool
from trace_retriever.mbeir.ids import candidate_id
from trace_retriever.mbeir.records import CANDIDATE_ID_SPACE
from trace_retriever.search.exact import ExactIndex
from trace_retriever.store.embeddings import MODALITIES

NUMBERS = st.integers(0, 3 * CANDIDATE_ID_SPACE)


def pool_of(numbers: set[int]) -> Pool:
    ids = np.array(sorted(numbers), np.int64)
    kinds = np.arange(len(ids), dtype=np.int8) % len(MODALITIES)
    return Pool("local", ExactIndex(np.zeros((len(ids), 4), np.float32)), ids, kinds)


@given(st.sets(NUMBERS, min_size=1), st.lists(st.sets(NUMBERS)), st.data())
def test_a_pool_holds_what_a_set_of_its_ids_holds(
    numbers: set[int], positives: list[set[int]], data: st.DataObject
) -> None:
    positives = [good | data.draw(st.sets(st.sampled_from(sorted(numbers)))) for good in positives]
    asked = [frozenset(map(candidate_id, good)) for good in positives]
    found = pool_of(numbers).reachable(asked)
    assert found.tolist() == [len(good & numbers) for good in positives]


def test_places_of_any_shape_are_named() -> None:
    pool = pool_of({CANDIDATE_ID_SPACE + 4, 7, 2 * CANDIDATE_ID_SPACE})
    places = np.array([[2, 0], [1, 1]])
    assert pool.dids(places).tolist() == [["2:0", "0:7"], ["1:4", "1:4"]]
    assert pool.modalities(places).tolist() == [
        [MODALITIES[2], MODALITIES[0]],
        [MODALITIES[1], MODALITIES[1]],
    ]
    nothing = np.empty((0, 5), np.int64)
    assert pool.dids(nothing).shape == pool.modalities(nothing).shape == (0, 5)
