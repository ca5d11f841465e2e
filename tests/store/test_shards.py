from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_tree, read_json, write_json
from trace_retriever.store.filling import write_matrix
from trace_retriever.store.matrix import Matrix
from trace_retriever.store.shards import ShardedMatrix

ROWS = np.random.default_rng(0).standard_normal((50, 2, 3)).astype(np.float32)
HALF = ROWS.astype(np.float16)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> ShardedMatrix:
    """Fifty rows in shards of twelve."""
    blocks = (ROWS[start : start + 7] for start in range(0, 50, 7))
    return write_matrix(tmp_path_factory.mktemp("matrix") / "m", blocks, shape=ROWS.shape, shard_rows=12)


def write(folder: Path) -> ShardedMatrix:
    return write_matrix(folder, [ROWS], shape=ROWS.shape, shard_rows=12)


def test_each_shard_is_a_numpy_file_that_can_be_mapped(matrix: ShardedMatrix) -> None:
    files = sorted(matrix.directory.glob("*.npy"))
    mapped = [np.load(path, mmap_mode="r", allow_pickle=False) for path in files]
    assert [len(part) for part in mapped] == [12, 12, 12, 12, 2]
    np.testing.assert_array_equal(np.concatenate(mapped), HALF)


@given(st.integers(-60, 60), st.integers(-60, 60))
def test_a_slice_is_that_of_the_array(matrix: ShardedMatrix, start: int, stop: int) -> None:
    np.testing.assert_array_equal(matrix[start:stop], HALF[start:stop])


@given(st.lists(st.integers(0, 49)))
def test_rows_are_those_of_the_array_in_any_order(matrix: ShardedMatrix, rows: list[int]) -> None:
    np.testing.assert_array_equal(matrix[np.array(rows, np.int64)], HALF[np.array(rows, np.int64)])


def test_both_an_array_and_a_sharded_matrix_are_matrices(matrix: ShardedMatrix) -> None:
    held: list[Matrix] = [matrix, HALF]
    assert [(one.shape, one.dtype.name) for one in held] == [((50, 2, 3), "float16")] * 2
    assert len(matrix) == 50


def test_what_no_matrix_has_is_refused(matrix: ShardedMatrix) -> None:
    with pytest.raises(IndexError, match="without a step"):
        matrix[::2]
    with pytest.raises(IndexError, match="rows 3 to 50"):
        matrix[np.array([3, 50])]
    with pytest.raises(IndexError):
        matrix[np.array([-1])]


def test_equal_rows_give_equal_bytes_whatever_the_blocks(matrix: ShardedMatrix, tmp_path: Path) -> None:
    write(tmp_path / "m")
    assert digest_tree(tmp_path / "m") == digest_tree(matrix.directory)


@pytest.mark.parametrize("count", [49, 51])
def test_another_number_of_rows_than_announced_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match="rows"):
        write_matrix(tmp_path / "m", [ROWS[:1]] * count, shape=ROWS.shape)
    with pytest.raises(DataError, match="file not found"):
        ShardedMatrix.open(tmp_path / "m")


def test_a_flipped_bit_is_found_by_verifying(tmp_path: Path) -> None:
    matrix = write(tmp_path / "m")
    matrix.verify()
    path = tmp_path / "m/00003.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="altered") as error:
        ShardedMatrix.open(tmp_path / "m").verify()
    assert "00003.npy" in str(error.value)
    path.unlink()
    with pytest.raises(DataError, match="not found"):
        matrix.verify()


@pytest.mark.parametrize("damage", ["cut", "empty", "rows", "type", "object", "gone", "folded"])
def test_a_shard_that_is_not_as_announced_is_named_when_opened(tmp_path: Path, damage: str) -> None:
    write(tmp_path / "m")
    path = tmp_path / "m/00001.npy"
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-1])
        case "empty":
            path.write_bytes(b"")
        case "rows":
            np.save(path, HALF[:11])
        case "type":
            np.save(path, ROWS[:12])
        case "object":
            np.save(path, np.array([None] * 12), allow_pickle=True)
        case "gone":
            path.unlink()
        case "folded":
            np.save(path, np.asfortranarray(HALF[:12]))
    with pytest.raises(DataError) as error:
        ShardedMatrix.open(tmp_path / "m")
    assert "00001.npy" in str(error.value)


def test_a_part_is_opened_only_where_one_is_expected(tmp_path: Path) -> None:
    write(tmp_path / "m")
    manifest = read_json(tmp_path / "m/manifest.json")
    manifest["files"].pop("00002.npy")
    write_json(tmp_path / "m/manifest.json", manifest)
    with pytest.raises(DataError, match="only 4 of 5 shards"):
        ShardedMatrix.open(tmp_path / "m")
    part = ShardedMatrix.open(tmp_path / "m", part=True)
    np.testing.assert_array_equal(part[36:50], HALF[36:])
    with pytest.raises(DataError, match="shard 2 is not in this part"):
        part[:30]


@pytest.mark.parametrize("change", [{"dtype": "int8"}, {"shard_rows": 0}, {"shape": [50]}, {"more": 1}])
def test_a_manifest_that_breaks_its_schema_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    write(tmp_path / "m")
    path = tmp_path / "m/manifest.json"
    write_json(path, read_json(path) | change)
    with pytest.raises(DataError) as error:
        ShardedMatrix.open(tmp_path / "m")
    assert next(iter(change)) in str(error.value)
