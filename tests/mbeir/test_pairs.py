import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_retriever.errors import DataError
from trace_retriever.mbeir.pairs import (
    DATASET_IDS,
    OFFICIAL_PAIRS,
    TASK_MODALITIES,
    Pair,
    sorted_pairs,
    upsampling,
)
from trace_retriever.mbeir.records import Modality


@given(st.sampled_from(sorted(DATASET_IDS)), st.sampled_from(sorted(TASK_MODALITIES)))
def test_names_come_back(dataset: str, task: int) -> None:
    assert Pair.parse(Pair(dataset, task).name) == Pair(dataset, task)


@pytest.mark.parametrize(
    "name", ["mscoco", "mscoco_task", "mscoco_task5", "mscoco_taskX", "coco_task0", "mscoco_task²"]
)
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(DataError) as error:
        Pair.parse(name)
    assert error.value.remedy


def test_there_are_sixteen_official_pairs_of_ten_data_sets() -> None:
    assert len(OFFICIAL_PAIRS) == 16
    assert {pair.dataset_id for pair in OFFICIAL_PAIRS} == set(range(10))


def test_data_set_ids_are_distinct() -> None:
    assert sorted(DATASET_IDS.values()) == list(range(19))


def test_the_complex_data_sets_are_the_papers() -> None:
    complex_ones = {pair.dataset for pair in OFFICIAL_PAIRS if pair.is_complex}
    assert complex_ones == {"cirr", "fashioniq", "infoseek", "oven"}
    assert {name for name in DATASET_IDS if name.startswith("moji") and Pair(name, 0).is_complex} == {
        "mojihop",
        "mojirelation",
        "mojiedit",
    }


def test_a_pair_knows_its_modalities_and_cutoffs() -> None:
    cirr, fashion = Pair("cirr", 7), Pair("fashioniq", 7)
    assert (cirr.query_modality, cirr.candidate_modality) == (Modality.BOTH, Modality.IMAGE)
    assert (cirr.headline_k, cirr.recall_ks) == (5, (1, 5, 10))
    assert (fashion.headline_k, fashion.recall_ks) == (10, (10, 20, 50))
    assert Pair("fashion200k", 0).headline_k == 10


def test_pairs_are_sorted_by_task_then_data_set_id() -> None:
    names = {"oven_task8", "mscoco_task0", "visualnews_task0", "fashion200k_task3", "fashion200k_task0"}
    ordered = [pair.name for pair in sorted_pairs({Pair.parse(name) for name in names})]
    assert ordered == [
        "visualnews_task0",
        "fashion200k_task0",
        "mscoco_task0",
        "fashion200k_task3",
        "oven_task8",
    ]


def test_upsampling_brings_the_small_data_sets_to_uniirs_counts() -> None:
    for dataset, target in {"webqa": 100_000, "edis": 50_000, "nights": 50_000, "cirr": 50_000}.items():
        size = sum(size.train for pair, size in OFFICIAL_PAIRS.items() if pair.dataset == dataset)
        assert size * upsampling(dataset) == pytest.approx(target)
    assert upsampling("oven") == upsampling("mojihop") == 1
