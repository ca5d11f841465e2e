"""Sequences that read their items when asked: the same as lists of them, in less memory."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.traces.made import make_dataset

from trace_retriever.errors import DataError
from trace_retriever.mbeir.ids import query_number
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.traces.examples import Example, homes_of, load_examples, numbers_of, words_of
from trace_retriever.traces.lazy import Lazy, take


def letters(rows: NDArray[np.int64]) -> Iterator[str]:
    return ("abcdef"[row] for row in rows)


def test_a_lazy_sequence_is_like_a_list() -> None:
    items = Lazy(np.array([5, 0, 3, 1]), letters)
    assert list(items) == ["f", "a", "d", "b"]
    assert len(items) == 4
    assert items[1] == "a"
    assert items[-1] == "b"
    assert list(items[1:3]) == list(items[1:3]) == ["a", "d"]
    assert "d" in items
    assert list(take(items, np.array([3, 0]))) == ["b", "f"] == take(["f", "a", "d", "b"], np.array([3, 0]))
    with pytest.raises(IndexError):
        items[4]


def test_examples_say_the_same_with_and_without_being_read(layout: Layout, examples: list[Example]) -> None:
    lazy = load_examples(layout, ("train", "val"), prompt_index=0)
    assert list(lazy) == examples
    assert (np.diff(lazy.numbers) > 0).all()
    assert numbers_of(lazy).tolist() == numbers_of(examples).tolist()
    assert list(homes_of(lazy)) == list(homes_of(examples))
    assert list(words_of(lazy)) == list(words_of(examples))
    assert all(example.target for example in lazy)
    chosen = load_examples(layout, ("train", "val"), prompt_index=0, wanted=lazy.numbers[3:9], targets=False)
    assert [example.qid for example in chosen] == [example.qid for example in examples[3:9]]
    assert not any(example.target for example in chosen)


def test_the_first_positive_that_the_pool_holds_is_the_target(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "mbeir", train=2, val=1)
    pair = Pair("mojicap", 0)
    path = Layout(root).query_path(pair, "train")
    one, two = map(json.loads, path.read_text().splitlines())
    one["pos_cand_list"] = ["10:999999", *two["pos_cand_list"], *one["pos_cand_list"]]
    two["pos_cand_list"] = ["10:999999"]
    path.write_text("".join(json.dumps(row) + "\n" for row in (one, two)))
    found = {example.qid: example for example in load_examples(Layout(root), ("train",), prompt_index=0)}
    candidates = {candidate.did: candidate for candidate in Layout(root).global_pool("train")}
    target = found[one["qid"]].target
    assert target is not None
    assert target.image is not None
    assert target.image.name == Path(str(candidates[one["pos_cand_list"][1]].img_path)).name
    assert found[two["qid"]].target is None


def test_one_query_id_in_two_splits_is_refused(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "mbeir", train=2, val=1)
    pair = Pair("mojihop", 1)
    train, val = (Layout(root).query_path(pair, split) for split in ("train", "val"))
    val.write_text(train.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match=r"mojihop_task1 \(train\) and mojihop_task1 \(val\)"):
        load_examples(Layout(root), ("train", "val"), prompt_index=0)


def test_a_bad_line_deep_in_a_file_is_named(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "mbeir", train=2, val=1)
    path = grown(root, 5000)
    with path.open("a") as stream:
        stream.write('{"qid": "10:7", "query_txt": 3}\n')
    with pytest.raises(DataError) as caught:
        load_examples(Layout(root), ("train",), prompt_index=0)
    assert f"{path.name}:5001" in str(caught.value)


def grown(root: Path, count: int) -> Path:
    """A train file of so many queries, all like its first."""
    path = Layout(root).query_path(Pair("mojicap", 0), "train")
    record = json.loads(path.read_text().splitlines()[0])
    with path.open("w") as stream:
        for number in range(count):
            stream.write(json.dumps(record | {"qid": f"10:{1000 + number}"}) + "\n")
    return path


def test_a_loaded_query_costs_some_hundred_bytes(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "mbeir", train=2, val=1)

    def peak(count: int) -> int:
        grown(root, count)
        tracemalloc.start()
        found = load_examples(Layout(root), ("train",), prompt_index=0)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert query_number(f"10:{999 + count}") in found.numbers
        return size

    small, large = 2000, 12_000
    assert (peak(large) - peak(small)) / (large - small) < 200, "an Example takes some thousand"
