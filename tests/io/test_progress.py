"""Progress in a log is made of lines: pods' logs are read line by line."""

from typing import Any

import pytest
from tqdm import tqdm

from trace_retriever.io.progress import bar, progress


def test_a_log_gets_whole_lines_and_nothing_that_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    outer: tqdm[Any]
    written = ""
    with bar("outer", total=2, unit="query") as outer:
        for _ in range(2):
            assert list(progress(range(3), "inner", total=3)) == [0, 1, 2]
            outer.update()
            outer.refresh()
            written += capsys.readouterr().err
            assert written.endswith("\n")  # at once, not with the line after it
    written += capsys.readouterr().err
    assert not set("\r\x1b") & set(written)
    lines = written.splitlines()
    assert all(line.startswith(("outer:", "inner:")) for line in lines)
    assert "2/2" in lines[-1]
    assert "query" in lines[-1]
    assert any("3/3" in line for line in lines if line.startswith("inner:"))


def test_a_bar_without_a_known_end_tells_what_it_counted(capsys: pytest.CaptureFixture[str]) -> None:
    shown: tqdm[Any]
    with bar("reading", unit="record") as shown:
        shown.update(7)
    assert "7record" in capsys.readouterr().err.splitlines()[-1]
