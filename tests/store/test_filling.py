from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trace_retriever.store.filling import Shard

ROWS = np.arange(10 * 3, dtype=np.float32).reshape(10, 3)


def shard(folder: Path) -> Shard:
    return Shard(folder, 7, (10, 3), np.dtype(np.float16), 4)


def table(unit: range) -> pa.Table:
    return pa.table(
        {"name": [f"row {row}" for row in unit], "nothing": pa.array([None] * len(unit), pa.string())}
    )


def test_units_are_saved_in_any_order_and_joined(tmp_path: Path) -> None:
    made = shard(tmp_path)
    made.allocate()
    assert made.vectors.stat().st_size == 128 + 10 * 3 * 2  # its whole size from the start
    assert made.missing() == [range(0, 4), range(4, 8), range(8, 10)]
    for unit in (range(8, 10), range(0, 4), range(4, 8)):
        made.save(unit, ROWS[unit.start : unit.stop], table(unit))
        made.allocate()  # again, as after a kill: nothing is lost
    assert made.missing() == []
    assert not made.whole
    made.join()
    assert made.whole
    np.testing.assert_array_equal(np.load(tmp_path / "00007.npy"), ROWS)
    assert pq.read_table(made.table)["name"].to_pylist() == [f"row {row}" for row in range(10)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00007.npy", "00007.parquet"]


def test_only_what_was_saved_whole_counts_as_done(tmp_path: Path) -> None:
    made = shard(tmp_path)
    made.allocate()
    made.write(4, ROWS[4:8])  # killed before its table was put in place
    made.save(range(0, 4), ROWS[:4], table(range(4)))
    assert shard(tmp_path).missing() == [range(4, 8), range(8, 10)]


def test_a_half_made_file_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "00007.partial").write_bytes(b"killed here")
    made = shard(tmp_path)
    made.allocate()
    np.testing.assert_array_equal(np.load(made.vectors), np.zeros((10, 3)))


def test_equal_units_give_equal_bytes(tmp_path: Path) -> None:
    contents = []
    for name, order in (("one", (0, 4, 8)), ("two", (8, 0, 4))):
        (tmp_path / name).mkdir()
        made = shard(tmp_path / name)
        made.allocate()
        for start in order:
            unit = range(start, min(start + 4, 10))
            made.save(unit, ROWS[unit.start : unit.stop], table(unit))
        made.join()
        contents.append((made.vectors.read_bytes(), made.table.read_bytes()))
    assert contents[0] == contents[1]


def test_a_full_disk_shows_before_any_vector_is_made(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space|too large"):
        Shard(tmp_path, 0, (1 << 40, 1024), np.dtype(np.float16), 4).allocate()
    assert not list(tmp_path.glob("*.npy"))
