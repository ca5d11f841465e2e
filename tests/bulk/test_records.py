from pathlib import Path

import pytest
from tests.evaluation.colours import EDIT, HOP, SPLITS, write_benchmark

from trace_retriever.bulk.dataset import choose_pairs, collect_candidates, collect_queries
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.mbeir.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    write_benchmark(tmp_path)
    return Layout(tmp_path)


def test_candidates_come_once_by_ascending_did(layout: Layout) -> None:
    records = collect_candidates(layout, SPLITS, (), global_pool=True)
    found = [record for record, _ in records.read(range(len(records)))]
    everything = {one.did: one for split in SPLITS for one in layout.global_pool(split)}
    assert found == sorted(everything.values(), key=lambda one: tuple(map(int, one.did.split(":"))))
    assert [record for record, _ in records.read(range(7, 9))] == found[7:9]


def test_queries_come_in_the_order_of_splits_pairs_and_files(layout: Layout) -> None:
    records, files = collect_queries(layout, ("test", "val"), (EDIT.name, HOP.name))
    assert [(file.split, file.pair) for file in files] == [
        ("test", HOP),
        ("test", EDIT),
        ("val", HOP),
        ("val", EDIT),
    ]
    read = records.read(range(len(records)))
    expected = [(query, n) for n, file in enumerate(files) for query in layout.queries(file.pair, file.split)]
    assert read == expected


def test_a_train_file_of_a_whole_data_set_gives_each_pair_its_own(layout: Layout) -> None:
    path = layout.files.dataset_queries("mojihop")
    path.parent.mkdir(parents=True)
    lines = layout.files.queries(HOP, "val").read_text().splitlines(keepends=True)
    path.write_text(
        "\n".join(lines[:3]) + lines[3].replace('"task_id": 1', '"task_id": 8')
    )  # blank lines between
    records, files = collect_queries(layout, ("train",), ())
    assert [file.pair for file in files] == [HOP]
    assert [query for query, _ in records.read(range(len(records)))] == list(layout.queries(HOP, "train"))
    assert len(records) == 3


def test_an_unknown_pair_is_named(layout: Layout) -> None:
    with pytest.raises(ConfigError, match="no val queries of pair 'cirr_task7'"):
        choose_pairs(layout, "val", ["cirr_task7"])


def test_one_did_with_two_contents_is_refused(layout: Layout) -> None:
    path = layout.pool_path(HOP, "val")
    path.write_text(path.read_text().replace("fact about red", "fact about gold"))
    with pytest.raises(DataError, match="candidate 14:0 has two contents"):
        collect_candidates(layout, SPLITS, (), global_pool=True)
    assert len(collect_candidates(layout, SPLITS, (), global_pool=False)) == 30


def test_one_id_twice_in_a_file_is_refused_with_its_lines(layout: Layout) -> None:
    path = layout.pool_path(HOP, "val")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[0]]))
    with pytest.raises(DataError, match="is on line 1 and again on line 11"):
        collect_candidates(layout, SPLITS, (), global_pool=True)
    path = layout.files.queries(HOP, "test")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[2]]))
    with pytest.raises(DataError, match="is on line 3 and again on line 11"):
        collect_queries(layout, SPLITS, ())


def test_an_empty_pool_is_refused(layout: Layout) -> None:
    layout.pool_path(HOP, "val").write_text("\n")
    with pytest.raises(DataError, match="holds no records"):
        collect_candidates(layout, SPLITS, (), global_pool=True)


@pytest.mark.parametrize("change", ["swapped", "cut"])
def test_a_file_that_changes_while_it_is_read_is_noticed(layout: Layout, change: str) -> None:
    records = collect_candidates(layout, SPLITS, (), global_pool=False)
    path = layout.pool_path(HOP, "val")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(reversed(lines)) if change == "swapped" else "".join(lines)[:-20])
    with pytest.raises(DataError, match="changed while it was being read"):
        records.read(range(len(records)))
