from pathlib import Path

import pytest
from tests.cards.chain import write_model
from tests.cards.curves import falling, write_curves

from trace_retriever.cards import curves as module
from trace_retriever.cards.curves import LOGGED, copy_curves, read_curve, read_curves
from trace_retriever.errors import DataError


@pytest.fixture
def report(tmp_path: Path) -> Path:
    write_curves(tmp_path / "report", write_model(tmp_path / "model"), loss=falling(0.5), val_hit=[0.2, 0.7])
    (tmp_path / "evidence").mkdir()
    return tmp_path / "report"


@pytest.mark.parametrize("part", ["", "curves"], ids=["report", "its curves"])
def test_curves_are_kept_from_a_report_or_its_folder(report: Path, part: str) -> None:
    evidence = report.parent / "evidence"
    copy_curves(report / part, report.parent / "model", evidence)
    found = read_curves(evidence)
    assert set(found) == {"loss", "val_hit"}
    assert found["loss"].values == falling(0.5)
    assert (found["val_hit"].steps, found["val_hit"].values) == ([450, 900], [0.2, 0.7])


def test_a_training_of_another_model_is_refused(report: Path) -> None:
    (report.parent / "model/config.json").write_text("{}")
    with pytest.raises(DataError, match="another model's training"):
        copy_curves(report, report.parent / "model", report.parent / "evidence")


def test_a_training_that_logged_nothing_leaves_none(report: Path) -> None:
    for file in (report / "curves" / LOGGED).iterdir():
        file.unlink()
    copy_curves(report, report.parent / "model", report.parent / "evidence")
    assert not list((report.parent / "evidence").iterdir())
    assert read_curves(report.parent / "evidence") == {}


@pytest.mark.parametrize(
    "text", ["", "loss\n1\n", "step\tother\n1\t2\n", "step\tloss\n1\tfast\n", "step\tloss\n1.5\t2\n"]
)
def test_what_is_no_curve_is_refused(report: Path, text: str) -> None:
    file = report / "curves" / LOGGED / "loss.tsv"
    file.write_text(text)
    with pytest.raises(DataError, match="curve"):
        copy_curves(report, report.parent / "model", report.parent / "evidence")


def test_other_files_do_not_come_along(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = report / "curves" / LOGGED
    (folder / "run.sh").write_text("true\n")
    with pytest.raises(DataError, match="a file that is no curve"):
        copy_curves(report, report.parent / "model", report.parent / "evidence")
    (folder / "run.sh").unlink()
    monkeypatch.setattr(module, "MAX_BYTES", 20)
    with pytest.raises(DataError, match="more than 20 bytes"):
        copy_curves(report, report.parent / "model", report.parent / "evidence")
    monkeypatch.setattr(module, "MAX_CURVES", 1)
    with pytest.raises(DataError, match="at most 1"):
        copy_curves(report, report.parent / "model", report.parent / "evidence")


def test_a_training_that_went_astray_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "loss.tsv").write_text("step\tloss\n10\t2.5\n20\tnan\n30\tinf\n")
    assert len(read_curve(tmp_path / "loss.tsv").values) == 3
