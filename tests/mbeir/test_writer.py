from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.mbeir.checkout_files import QUERIES, write_checkout

from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_tree
from trace_retriever.io.jsonl import read_jsonl
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, upsampling
from trace_retriever.mbeir.records import Candidate, Query
from trace_retriever.mbeir.writer import write_dataset

HOP = Pair("mojihop", 1)
PROMPTS = {HOP: ("one", "two", "three", "four")}


def query(number: int = 1, **changes: Any) -> Query:
    fields = {
        "qid": f"14:{number}",
        "query_txt": "who",
        "query_img_path": None,
        "query_modality": "text",
        "pos_cand_list": [f"14:{number}"],
        "task_id": 1,
    }
    return Query.model_validate(fields | changes)


def candidate(number: int = 1, **changes: Any) -> Candidate:
    fields = {"did": f"14:{number}", "txt": "it", "img_path": None, "modality": "text"}
    return Candidate.model_validate(fields | changes)


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    assert digest_tree(write_checkout(tmp_path / "a")) == digest_tree(write_checkout(tmp_path / "b"))


def test_records_come_back(tmp_path: Path) -> None:
    queries, pool = [query(2), query(1)], [candidate(1), candidate(2)]
    write_dataset(tmp_path, queries={(HOP, "test"): queries}, pools={(HOP, None): pool}, prompts=PROMPTS)
    layout = Layout(tmp_path)
    assert list(layout.queries(HOP, "test")) == queries
    assert list(layout.pool(HOP, "test")) == pool
    assert list(layout.global_pool("test")) == pool
    assert layout.qrels(HOP, "test").positives("14:2") == {"14:2"}
    assert layout.instructions.of(HOP) == PROMPTS[HOP]


def test_split_pools_stay_apart(tmp_path: Path) -> None:
    splits = {"train": 1, "val": 2, "test": 3}
    write_dataset(
        tmp_path,
        queries={(HOP, split): [query(n)] for split, n in splits.items()},  # type: ignore[misc]
        pools={(HOP, split): [candidate(n)] for split, n in splits.items()},  # type: ignore[misc]
        prompts=PROMPTS,
    )
    layout = Layout(tmp_path)
    for split, number in splits.items():
        assert [c.did for c in layout.pool(HOP, split)] == [f"14:{number}"]  # type: ignore[arg-type]
        assert [c.did for c in layout.global_pool(split)] == [f"14:{number}"]  # type: ignore[arg-type]


def test_the_train_union_repeats_the_small_data_sets(checkout: Path) -> None:
    union = read_jsonl(Layout(checkout).files.union_queries("train"), Query)
    counts = Counter(query.qid.partition(":")[0] for query in union)
    assert counts["8"] == round(QUERIES * upsampling("cirr")) > QUERIES
    assert counts["2"] == round(QUERIES * upsampling("webqa"))
    assert counts["5"] == QUERIES
    assert counts["9"] == 2 * QUERIES


def test_the_val_union_has_each_query_once(checkout: Path) -> None:
    union = list(read_jsonl(Layout(checkout).files.union_queries("val"), Query))
    assert len({query.qid for query in union}) == len(union) == 6 * QUERIES


def test_the_global_pool_has_each_candidate_once(checkout: Path) -> None:
    layout = Layout(checkout)
    dids = [c.did for c in layout.global_pool("test")]
    local = {c.did for pair in layout.pairs("test") for c in layout.pool(pair, "test")}
    assert len(dids) == len(set(dids))
    assert set(dids) == local


@pytest.mark.parametrize(
    ("queries", "pool", "problem"),
    [
        ([query(qid="13:1")], [candidate()], "id 13:1 is of another data set"),
        ([query(task_id=0)], [candidate()], "task 0"),
        ([query()], [candidate(txt=None, img_path="a.jpg", modality="image")], "modality 'image'"),
        ([query()], [candidate(did="13:1")], "13:1"),
        ([query(), query()], [candidate()], "14:1 is there twice"),
        ([query()], [candidate(), candidate()], "14:1 is there twice"),
        ([], [candidate()], "no records"),
        ([query()], [], "no records"),
    ],
)
def test_records_of_another_pair_twice_or_none_are_refused(
    tmp_path: Path, queries: list[Query], pool: list[Candidate], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        write_dataset(tmp_path, queries={(HOP, "test"): queries}, pools={(HOP, None): pool}, prompts=PROMPTS)
    assert not any(tmp_path.iterdir())


def test_one_did_with_two_contents_is_refused(tmp_path: Path) -> None:
    pools = {(HOP, None): [candidate()], (HOP, "test"): [candidate(txt="other")]}
    with pytest.raises(DataError, match="14:1 has two contents"):
        write_dataset(tmp_path, queries={}, pools=pools, prompts=PROMPTS)  # type: ignore[arg-type]


def test_queries_need_a_pool_and_prompts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without a pool"):
        write_dataset(tmp_path, queries={(HOP, "val"): [query()]}, pools={}, prompts=PROMPTS)
    with pytest.raises(DataError, match="without instructions"):
        write_dataset(
            tmp_path, queries={(HOP, "val"): [query()]}, pools={(HOP, None): [candidate()]}, prompts={}
        )
