from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trace_retriever.errors import ImageError
from trace_retriever.io.sheets import RIGHT, Cell, Row, draw_sheet


def cell(words: str | None, picture: str | None = None, frame: str = RIGHT) -> Cell:
    return Cell(picture=picture, words=words, label="target", frame=frame)


def test_a_picture_is_drawn_in_its_frame(tmp_path: Path) -> None:
    Image.new("RGB", (30, 30), (200, 20, 20)).save(tmp_path / "red.png")
    draw_sheet([Row("one", [cell(None, "red.png")])], tmp_path, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert 0.2 < (np.abs(pixels - (200, 20, 20)).max(-1) < 8).mean() < 0.7
    frame = tuple(bytes.fromhex(RIGHT.removeprefix("#")))
    assert (np.abs(pixels - frame).max(-1) < 8).sum() > 300


def test_words_of_any_kind_are_drawn(tmp_path: Path) -> None:
    """A formula that is none, an angle bracket, many words: drawn as text, cut where it is long."""
    for words in ("costs $5 or $6_{", "<b>&amp;", "word " * 500, "", None):
        draw_sheet([Row("a $ b", [cell(words), cell("x")])], tmp_path, tmp_path / "sheet.png")
        with Image.open(tmp_path / "sheet.png") as image:
            assert image.width > 300


def test_a_missing_picture_leaves_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not found"):
        draw_sheet([Row("one", [cell(None, "none.png")])], tmp_path, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
