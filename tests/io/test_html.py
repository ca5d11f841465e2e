import html.parser
from pathlib import Path

import pandas as pd
import pytest
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from trace_retriever.errors import ImageError
from trace_retriever.io.html import MISSING, Section, figure, join, note, page, paragraph, picture, table


class Checker(html.parser.HTMLParser):
    """Checks that tags are closed in order and collects what the page would load."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def drawing() -> Figure:
    found = Figure(figsize=(3, 2))
    axes = found.subplots()
    axes.plot([1, 3, 2])
    axes.set_title("a < b & c")
    return found


def test_a_page_is_whole_and_loads_nothing_from_elsewhere() -> None:
    frame = pd.DataFrame({"a": [1.5]})
    text = page(
        "Report",
        [Section(f"Part {n}", join(paragraph("x"), table(frame), figure(drawing(), "y"))) for n in range(3)],
    )
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert all(source.startswith(("data:", "#")) for source in checker.sources)
    assert text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    "made",
    [
        lambda text: paragraph(text),
        lambda text: note(text),
        lambda text: table(pd.DataFrame({text: [text]}, index=[text]), caption=text),
        lambda text: figure(drawing(), text),
        lambda text: page(text, [Section(text, Markup(""))]),
    ],
)
def test_everything_is_escaped(made: object) -> None:
    assert callable(made)
    text = str(made('<script>alert("1")</script>'))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_cells() -> None:
    frame = pd.DataFrame(
        {"share": [0.12345, float("nan")], "count": [1, 2], "cell": [Markup("<b>x</b>"), None]}
    )
    text = str(table(frame, ".1%"))
    assert '<td class="number">12.3%</td>' in text
    assert f'<td class="number">{MISSING}</td>' in text
    assert "<td><b>x</b></td>" in text
    assert f"<td>{MISSING}</td>" in text
    assert '<th scope="row">' not in text
    assert '<th scope="row">' in str(table(frame, index=True))


def test_the_same_drawing_is_the_same_bytes() -> None:
    assert figure(drawing(), "x") == figure(drawing(), "x")


def test_a_picture_is_a_bounded_thumbnail(tmp_path: Path) -> None:
    path = tmp_path / "a<b.png"
    Image.new("RGB", (300, 150), (1, 2, 3)).save(path)
    text = str(picture(path, size=60))
    assert 'width="60" height="30"' in text
    assert 'src="data:image/png;base64,' in text
    assert "a<b" not in text
    assert picture(path) == picture(path)


@pytest.mark.parametrize("content", [None, b"GIF89a not really"])
def test_a_bad_picture_names_its_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.png"
    if content:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=r"bad\.png"):
        picture(path)
