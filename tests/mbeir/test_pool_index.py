import json
from pathlib import Path

import numpy as np
import pytest

from trace_retriever.errors import DataError
from trace_retriever.mbeir.ids import candidate_number
from trace_retriever.mbeir.pool_index import RecordReader, index_pool
from trace_retriever.mbeir.records import Candidate


def pool(path: Path, numbers: list[int]) -> Path:
    rows = [
        {"did": f"9:{n}", "txt": f"té {n}", "img_path": None, "modality": "text", "src_content": None}
        for n in numbers
    ]
    path.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n")
    return path


def test_records_are_found_by_id_and_read_in_any_order(tmp_path: Path) -> None:
    index = index_pool(pool(tmp_path / "pool.jsonl", [7, 2, 900, 4]))
    assert len(index) == 4
    assert (np.diff(index.numbers) > 0).all()
    wanted = np.array([candidate_number(did) for did in ("9:900", "9:3", "9:2", "9:999")])
    rows = index.find(wanted)
    assert (rows >= 0).tolist() == [True, False, True, False]
    found = list(index.read(rows[rows >= 0]))
    assert [(one.did, one.txt) for one in found] == [("9:900", "té 900"), ("9:2", "té 2")]
    assert index.find(wanted.reshape(2, 2)).shape == (2, 2)
    assert list(index.read(np.array([], dtype=np.int64))) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text + "{}\n", "pool.jsonl:8"),
        (lambda text: text + text.splitlines()[0] + "\n", "is on line 1 and again on line 8"),
        (lambda _: "\n", "holds no records"),
    ],
)
def test_a_pool_is_checked_while_it_is_indexed(tmp_path: Path, change: object, message: str) -> None:
    path = pool(tmp_path / "pool.jsonl", [7, 2, 900, 4])
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(DataError) as caught:
        index_pool(path)
    assert message in str(caught.value)


def test_a_file_that_changed_since_is_told(tmp_path: Path) -> None:
    path = pool(tmp_path / "pool.jsonl", [7, 2])
    index = index_pool(path)
    path.write_text("#" + path.read_text())
    with pytest.raises(DataError, match="changed while it was read"):
        list(index.read(index.find(np.array([candidate_number("9:2")]))))
    with RecordReader(path, Candidate) as reader, pytest.raises(DataError):
        reader.at(path.stat().st_size + 10)
