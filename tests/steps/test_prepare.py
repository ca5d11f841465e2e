import json
from pathlib import Path

import pytest
from PIL import Image
from tests.mbeir.checkout_files import FILLERS, PAIRS, QUERIES, write_checkout

from trace_retriever.config import load_section
from trace_retriever.errors import DataError
from trace_retriever.mbeir.layout import Files, Layout
from trace_retriever.mbeir.pairs import SPLITS, Pair
from trace_retriever.runner import run_step
from trace_retriever.step import Metrics


def prepare(checkout: Path, tmp_path: Path) -> Metrics:
    names = json.dumps([pair.name for pair in PAIRS])
    config = load_section(
        "prepare",
        None,
        [
            "prepare.source=mbeir",
            f"prepare.mbeir.path={checkout}",
            f"prepare.mbeir.pairs={names}",
        ],
    )
    return run_step(
        "prepare", config, out=tmp_path / "out", report=tmp_path / "report", work_root=tmp_path / "work"
    )


def test_a_checkout_is_linked_counted_and_reported(tmp_path: Path) -> None:
    metrics = prepare(write_checkout(tmp_path / "checkout"), tmp_path)
    layout = Layout(tmp_path / "out")
    assert sorted(metrics["pairs"]) == sorted(pair.name for pair in PAIRS)
    assert metrics["pairs"]["cirr_task7"]["queries"] == dict.fromkeys(SPLITS, QUERIES)
    assert metrics["pairs"]["cirr_task7"]["pool"] == dict.fromkeys(SPLITS, 3 * (QUERIES + FILLERS))
    assert metrics["pairs"]["mscoco_task0"]["queries"] == dict.fromkeys(SPLITS, QUERIES)
    assert metrics["pairs"]["mscoco_task0"]["pool"] == dict.fromkeys(SPLITS, QUERIES + FILLERS)
    assert metrics["train_queries"] == len(PAIRS) * QUERIES
    assert metrics["global_pool"]["test"] == len(list(layout.global_pool("test")))
    assert json.loads((tmp_path / "report/metrics.json").read_text()) == metrics
    summary = (tmp_path / "report/summary.md").read_text()
    assert "| cirr_task7 | 3 | 3 | 3 | 15 | 15 |" in summary


def test_missing_files_leave_the_old_output(tmp_path: Path) -> None:
    checkout = write_checkout(tmp_path / "checkout")
    prepare(checkout, tmp_path)
    Files(checkout).queries(Pair("cirr", 7), "test").rename(tmp_path / "moved")
    before = sorted((tmp_path / "out/query/test").iterdir())
    with pytest.raises(DataError, match=r"mbeir_cirr_task7_test\.jsonl"):
        prepare(checkout, tmp_path)
    assert sorted((tmp_path / "out/query/test").iterdir()) == before
    assert not list(tmp_path.glob(".*partial"))


def test_a_second_run_gives_the_same_metrics(tmp_path: Path) -> None:
    checkout = write_checkout(tmp_path / "checkout")
    assert prepare(checkout, tmp_path) == prepare(checkout, tmp_path)


def test_a_made_data_set_comes_with_a_picture_sheet(tmp_path: Path) -> None:
    sizes = ["pictures=16", "train_simple=4", "train_hops=4", "train_relations=4", "train_edits=4"]
    sizes += ["val=4", "test=6", "picture_pixels=24"]
    config = load_section("prepare", None, [f"prepare.openmoji.{size}" for size in sizes])
    metrics = run_step(
        "prepare", config, out=tmp_path / "out", report=tmp_path / "report", work_root=tmp_path / "work"
    )
    assert metrics["source"] == "openmoji"
    assert metrics["pair_count"] == 13
    assert metrics["test_queries"] == 13 * 6
    assert metrics["openmoji"]["pictures"] == len(list((tmp_path / "out").rglob("*.jpg")))
    with Image.open(tmp_path / "report/sheet.png") as sheet:
        assert sheet.width > 900
