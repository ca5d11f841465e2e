from pathlib import Path

import pytest

from trace_retriever.errors import DataError
from trace_retriever.mbeir.qrels import Qrels, write_qrels
from trace_retriever.mbeir.records import Modality, Query


def qrels(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_only_relevance_above_zero_counts(tmp_path: Path) -> None:
    read = Qrels.read(
        qrels(tmp_path / "q.txt", "5:1 0 5:1 1 6\n5:1\t0\t6:1\t2\t6\n5:1 0 5:2 0 6\n5:2 0 5:2 -1 6\n")
    )
    assert read.positives("5:1") == {"5:1", "6:1"}
    assert read.relevance["5:1"]["6:1"] == 2
    assert read.positives("5:2") == frozenset()
    assert len(read) == 1


def test_reachable_positives_are_those_of_the_pool(tmp_path: Path) -> None:
    read = Qrels.read(qrels(tmp_path / "q.txt", "5:1 0 5:1 1 6\n5:1 0 6:1 1 6\n"))
    assert read.reachable("5:1", {"5:1", "5:9"}) == {"5:1"}


def test_a_mixed_file_is_split_by_task(tmp_path: Path) -> None:
    path = qrels(tmp_path / "q.txt", "9:1 0 9:1 1 0\n9:2 0 9:2 1 3\n")
    assert set(Qrels.read(path, task=3).relevance) == {"9:2"}
    assert Qrels.read(path).tasks == {"9:1": 0, "9:2": 3}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("9:1 0 9:1 1", "a row is"),
        ("9:500000 0 9:1 1 0", "below 500,000"),
        ("9:1 0 9:10000000 1 0", "below 10,000,000"),
        ("9:1 0 9:1 yes 0", "yes"),
        ("9:5 0 9:1 1 3", "tasks 0 and 3"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: str, problem: str) -> None:
    path = qrels(tmp_path / "q.txt", f"9:5 0 9:1 1 0\n\n{row}\n")
    with pytest.raises(DataError, match=problem) as error:
        Qrels.read(path)
    assert error.value.where == f"{path}:3"


def test_positives_are_written_as_rows(tmp_path: Path) -> None:
    query = Query(
        qid="5:1",
        query_txt="a",
        query_img_path="b",
        query_modality=Modality.BOTH,
        pos_cand_list=["5:1", "6:1"],
        task_id=6,
    )
    assert write_qrels(tmp_path / "q.txt", [query]) == 2
    assert (tmp_path / "q.txt").read_text() == "5:1 0 5:1 1 6\n5:1 0 6:1 1 6\n"
