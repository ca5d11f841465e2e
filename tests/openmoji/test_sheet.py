from pathlib import Path

import pytest
from PIL import Image

from trace_retriever.errors import DataError
from trace_retriever.mbeir.records import Candidate, Modality
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


def test_the_hardest_share_most_with_the_target() -> None:
    shown = {
        "10:1": "crab left , dog top",
        "10:2": "fox right , key bottom",
        "10:3": "crab left , dog bottom",
        "10:4": "crab right , fox bottom",
        "10:5": "crab left , dog top , fox right",
        "10:6": "fox left , key bottom",
    }
    pool = [
        Candidate(did=did, txt=text, img_path=None, modality=Modality.TEXT) for did, text in shown.items()
    ]
    found = hardest(pool[:1], pool, shown)
    assert [candidate.did for candidate in found] == ["10:5", "10:3", "10:4", "10:6"]
    assert hardest(pool[:1], pool, shown, count=1) == found[:1]


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
