from pathlib import Path

import pytest
from PIL import Image
from tests.openmoji.readers import Benchmark

from trace_retriever.errors import DataError
from trace_retriever.openmoji.sheet import hardest, sample_sheet


def test_a_sheet_shows_queries_targets_and_distractors(made_dataset: Path, tmp_path: Path) -> None:
    pairs = ["mojicap_task0", "mojihop_task1"]
    sample_sheet(made_dataset, pairs, 1, tmp_path / "one.png")
    sample_sheet(made_dataset, pairs, 1, tmp_path / "same.png")
    sample_sheet(made_dataset, pairs, 2, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "same.png").read_bytes()
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert one.width == two.width > 900
        assert one.height * 1.9 < two.height < one.height * 2.1


def test_the_hardest_differ_least(benchmark: Benchmark) -> None:
    for asked in list(benchmark.asked("mojiedit"))[-20:]:
        found = hardest([asked.positive], list(asked.pool.values()), benchmark.descriptions)
        assert len(found) == 4
        assert asked.positive not in found
        target = set(benchmark.scene_of(asked.positive).items())
        changes = [len(target ^ set(benchmark.scene_of(one).items())) for one in found]
        everywhere = [len(target ^ set(benchmark.scene_of(one).items())) for one in asked.pool.values()]
        assert sum(everywhere) / len(everywhere) > sum(changes) / 4


def test_nothing_to_show_and_unknown_pairs_are_refused(made_dataset: Path, tmp_path: Path) -> None:
    for pairs, count, message in (
        ([], 1, "no queries to show"),
        (["mojicap_task0"], 0, "no queries to show"),
        (["moji"], 1, "not the name of a pair"),
        (["mscoco_task0"], 1, "not found"),
    ):
        with pytest.raises(DataError, match=message):
            sample_sheet(made_dataset, pairs, count, tmp_path / "sheet.png")
    with pytest.raises(DataError):
        sample_sheet(tmp_path, ["mojicap_task0"], 1, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
