import json
from pathlib import Path

import pytest
from tests.mbeir.checkout_files import FILLERS, PAIRS, QUERIES

from trace_retriever.errors import DataError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import SPLITS, Pair, Split, sorted_pairs

CIRR, COCO, OVEN = Pair("cirr", 7), Pair("mscoco", 0), Pair("oven", 6)


def append(path: Path, **changes: object) -> int:
    """Append the file's first record with some fields changed; returns the new line's number."""
    lines = path.read_text().splitlines()
    lines.append(json.dumps(json.loads(lines[0]) | changes))
    path.write_text("\n".join(lines) + "\n")
    return len(lines)


@pytest.mark.parametrize("split", SPLITS)
def test_pairs_are_those_with_queries(checkout: Path, split: Split) -> None:
    assert Layout(checkout).pairs(split) == sorted_pairs(set(PAIRS))


def test_a_mixed_train_file_is_split_by_task(checkout: Path) -> None:
    layout = Layout(checkout)
    assert not layout.files.queries(COCO, "train").exists()
    assert {query.task_id for query in layout.queries(COCO, "train")} == {0}
    assert set(layout.qrels(COCO, "train").tasks.values()) == {0}
    assert len(list(layout.queries(COCO, "train"))) == QUERIES


def test_mscoco_has_a_pool_of_each_split(checkout: Path) -> None:
    layout = Layout(checkout)
    assert layout.pool_path(COCO, "val").name == "mbeir_mscoco_task0_val_cand_pool.jsonl"
    assert layout.pool_path(COCO, "test").name == "mbeir_mscoco_task0_test_cand_pool.jsonl"
    assert len(list(layout.pool(COCO, "test"))) == QUERIES + FILLERS


def test_other_pools_are_shared_by_the_splits(checkout: Path) -> None:
    layout = Layout(checkout)
    assert layout.pool_path(CIRR, "val") == layout.pool_path(CIRR, "test")
    assert len(list(layout.pool(CIRR, "val"))) == 3 * (QUERIES + FILLERS)


def test_train_candidates_without_a_local_pool_come_from_the_global_one(checkout: Path) -> None:
    layout = Layout(checkout)
    found = list(layout.pool(COCO, "train"))
    assert len(found) == QUERIES + FILLERS
    assert all(c.did.startswith("9:") and c.modality == COCO.candidate_modality for c in found)


def test_a_positive_in_the_siblings_pool_is_out_of_local_reach(checkout: Path) -> None:
    layout = Layout(checkout)
    qrels, local = layout.qrels(OVEN, "test"), {c.did for c in layout.pool(OVEN, "test")}
    everywhere = {c.did for c in layout.global_pool("test")}
    for query in layout.queries(OVEN, "test"):
        assert len(qrels.positives(query.qid)) == 2
        assert {did.partition(":")[0] for did in qrels.reachable(query.qid, local)} == {"5"}
        assert qrels.reachable(query.qid, everywhere) == qrels.positives(query.qid)


def test_lookup_finds_candidates_by_did(checkout: Path) -> None:
    layout = Layout(checkout)
    known = next(layout.pool(CIRR, "test"))
    assert layout.lookup({known.did, "8:9999999"}, "test") == {known.did: known}


def test_a_linked_data_set_has_no_truth(checkout: Path) -> None:
    assert Layout(checkout).truth("test") is None


def test_a_line_that_is_not_json_is_named(checkout: Path) -> None:
    path = Layout(checkout).files.queries(CIRR, "val")
    path.write_text(path.read_text() + "{oops\n")
    with pytest.raises(DataError, match="Invalid JSON") as error:
        list(Layout(checkout).queries(CIRR, "val"))
    assert error.value.where == f"{path}:{QUERIES + 1}"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"qid": "8:500000"}, "below 500,000"),
        ({"pos_cand_list": ["8:10000000"]}, "below 10,000,000"),
        ({"pos_cand_list": []}, "pos_cand_list"),
        ({"query_txt": None}, "modality is 'image,text'"),
        ({"task_id": 9}, "task_id"),
        ({"extra": 1}, "extra"),
        ({"query_modality": "sound"}, "query_modality"),
    ],
)
def test_a_query_that_breaks_the_schema_is_named(
    checkout: Path, changes: dict[str, object], problem: str
) -> None:
    path = Layout(checkout).files.queries(CIRR, "val")
    line = append(path, **changes)
    with pytest.raises(DataError, match=problem) as error:
        list(Layout(checkout).queries(CIRR, "val"))
    assert error.value.where == f"{path}:{line}"


def test_a_qid_twice_is_named_with_both_lines(checkout: Path) -> None:
    path = Layout(checkout).files.queries(CIRR, "val")
    line = append(path, query_txt="other words")
    with pytest.raises(DataError, match=f"on line 1 and again on line {line}"):
        list(Layout(checkout).queries(CIRR, "val"))


def test_a_did_twice_is_named_with_both_lines(checkout: Path) -> None:
    path = Layout(checkout).files.pool(CIRR, None)
    line = append(path)
    with pytest.raises(DataError, match=f"did '8:7000' is on line 1 and again on line {line}"):
        list(Layout(checkout).pool(CIRR, "test"))


def test_an_empty_pool_is_an_error(checkout: Path) -> None:
    Layout(checkout).files.pool(CIRR, None).write_text("\n")
    with pytest.raises(DataError, match="holds no records"):
        list(Layout(checkout).pool(CIRR, "test"))


def test_a_missing_pool_names_the_files_it_may_be_in(checkout: Path) -> None:
    Layout(checkout).files.pool(CIRR, None).unlink()
    with pytest.raises(DataError) as error:
        list(Layout(checkout).pool(CIRR, "test"))
    assert "mbeir_cirr_task7_test_cand_pool.jsonl or mbeir_cirr_task7_cand_pool.jsonl" in str(error.value)


def test_pools_stream(checkout: Path) -> None:
    """A broken line far down does not stop a reader that never gets there."""
    path = Layout(checkout).files.pool(CIRR, None)
    path.write_text(path.read_text() + "broken\n")
    assert next(Layout(checkout).pool(CIRR, "test")).did == "8:7000"


def test_no_directory_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="trace prepare"):
        Layout(tmp_path / "none")


def test_no_queries_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no test queries"):
        Layout(tmp_path).pairs("test")
