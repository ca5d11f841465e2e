import multiprocessing
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.bulk.toy import die_at, encoded, encoder, fill, filling
from tests.evaluation.colours import write_benchmark

from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_tree, read_json
from trace_retriever.io.locks import claim
from trace_retriever.store.embeddings import Embeddings
from trace_retriever.store.shards import ShardedMatrix

# From a server that has run nothing: a fork of this process would inherit pyarrow's threads as dead locks.
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["tests.bulk.toy", "pyarrow.parquet"])
UNIT = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bulk") / "dataset"
    write_benchmark(path)
    return path


@pytest.fixture(scope="module")
def whole(root: Path) -> Path:
    """What a single run that nothing disturbs leaves in `out`."""
    folder = root.parent / "whole"
    fill(root, folder / "work", folder / "out")
    return folder


def test_every_record_is_encoded_once_and_lies_in_its_row(whole: Path) -> None:
    store = Embeddings.load(whole / "out")
    store.verify()
    assert store.candidates.shape == (30, 8)
    assert store.queries.shape == (60, 2, 8)
    assert len(encoded(whole / "out")) == 90
    assert sorted(path.name for path in (whole / "out/candidates").glob("*.npy")) == [
        f"{n:05d}.npy" for n in range(4)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("step", [5, 37])
def test_kills_at_any_moment_lose_a_unit_each_and_end_in_the_same_bytes(
    root: Path, whole: Path, tmp_path: Path, step: int
) -> None:
    """Killed again and again, `step` file operations further each time: it always gets there."""
    kills, event = 0, step
    while True:
        process = FORK.Process(target=die_at, args=(event, root, tmp_path))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills, event = kills + 1, event + step
        for leftover in (tmp_path / "out").rglob("*"):
            if leftover.is_file():
                leftover.unlink()
        for folder in (tmp_path / "out").glob("*"):
            folder.rmdir()
    assert kills > 2
    assert digest_tree(tmp_path / "out") == digest_tree(whole / "out")
    extra = Counter(encoded(tmp_path / "out")) - Counter(encoded(whole / "out"))
    assert extra.total() <= kills * UNIT


def test_a_shard_that_another_process_fills_is_left_to_it(root: Path, whole: Path, tmp_path: Path) -> None:
    work = tmp_path / "work/candidates"
    work.mkdir(parents=True)
    with claim(work / "00001.lock", wait=False):
        process = FORK.Process(target=fill, args=(root, tmp_path / "work", tmp_path / "one"))
        process.start()
        while not (work / "00003.parquet").exists():
            assert process.is_alive()
        assert not (work / "00001.npy").exists()
    process.join(60)
    assert process.exitcode == 0
    assert digest_tree(tmp_path / "one") == digest_tree(whole / "out")


def test_several_processes_share_the_work_and_each_ends_with_all_of_it(
    root: Path, whole: Path, tmp_path: Path
) -> None:
    names = ("one", "two", "three")
    processes = [FORK.Process(target=fill, args=(root, tmp_path / "work", tmp_path / name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    logs = Counter(line for name in names for line in encoded(tmp_path / name))
    assert logs == Counter(encoded(whole / "out"))  # nothing twice
    for name in names:
        assert digest_tree(tmp_path / name) == digest_tree(whole / "out")


def test_parts_are_assembled_to_the_bytes_of_a_single_run(root: Path, whole: Path, tmp_path: Path) -> None:
    for number in range(3):
        name = tmp_path / f"parts/{number}"
        fill(root, tmp_path / f"work{number}", name, part=(number, 3))
        with pytest.raises(DataError, match="assemble the parts"):
            Embeddings.load(name)
    done = fill(root, tmp_path / "work", tmp_path / "all", previous=tmp_path / "parts")
    assert encoded(tmp_path / "all") == []
    assert [made.reused for made in done] == [30, 60]
    assert digest_tree(tmp_path / "all") == digest_tree(whole / "out")


def test_equal_contents_have_equal_vectors_wherever_they_lie(root: Path, tmp_path: Path) -> None:
    """`mojiedit` and `mojicap` show the same pictures; company makes last bits differ."""
    fill(root, tmp_path / "work", tmp_path / "out")
    store = Embeddings.load(tmp_path / "out")
    table = store.candidate_table
    vectors = store.candidates[:]
    for _, rows in table[table["modality"] == "image"].groupby("img_path"):
        assert len(rows) == 2
        np.testing.assert_array_equal(vectors[rows.index[0]], vectors[rows.index[1]])
    made = filling(root, tmp_path / "part", "candidates", part=(0, 2))
    made.run(encoder(tmp_path / "log"), "candidates")
    assert len({bytes(row) for row in vectors}) == 20


def test_what_has_not_changed_is_copied(whole: Path, tmp_path: Path) -> None:
    changed = tmp_path / "dataset"
    write_benchmark(changed)
    for path in (changed / "cand_pool").rglob("*.jsonl"):
        path.write_text(path.read_text().replace("fact about red", "fact about nothing"))
    (changed / "mbeir_images/blue.png").write_bytes((changed / "mbeir_images/gold.png").read_bytes())
    done = fill(changed, tmp_path / "work", tmp_path / "out", previous=whole / "out")
    again = encoded(tmp_path / "out")
    assert again[0] == "Fact about nothing. None"
    # The changed picture is known by content where it stands alone: it is the golden one now.
    assert [line for line in again[1:] if "blue.png" not in line] == []
    assert [made.reused for made in done] == [29, 58]
    old, new = Embeddings.load(whole / "out"), Embeddings.load(tmp_path / "out")
    rows = old.rows(did for did in old.candidate_table["did"] if did not in ("14:0", "10:2", "18:2"))
    np.testing.assert_array_equal(old.candidates[rows], new.candidates[rows])
    np.testing.assert_array_equal(new.candidates[new.rows(["10:2"])], old.candidates[old.rows(["10:9"])])


def test_another_way_of_encoding_shares_nothing(root: Path, whole: Path, tmp_path: Path) -> None:
    done = fill(root, tmp_path / "work", tmp_path / "out", previous=whole / "out", way="other")
    assert [made.reused for made in done] == [0, 0]
    assert len(encoded(tmp_path / "out")) == 90


def test_damaged_or_absent_previous_embeddings_are_refused(root: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no embeddings here"):
        filling(root, tmp_path, "candidates", previous=root)
    fill(root, tmp_path / "work", tmp_path / "out", previous=whole / "out")
    path = tmp_path / "out/queries/00002.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\7")
    with pytest.raises(DataError, match="altered"):
        filling(root, tmp_path / "again", "queries", previous=tmp_path / "out")


def test_manifests_name_every_file(whole: Path) -> None:
    for kind in ("candidates", "queries"):
        folder = whole / "out" / kind
        assert {*read_json(folder / "manifest.json")["files"], "manifest.json"} == {
            p.name for p in folder.iterdir()
        }
        ShardedMatrix.open(folder).verify()
