"""Running suites: what is kept of the frames that Great Expectations is given."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from trace_retriever.validation.great import run_suites
from trace_retriever.validation.rules import Suite, null, unique

PARTS, ROWS = 5, 40


def test_parts_are_let_go_once_they_are_checked(tmp_path: Path) -> None:
    given: list[weakref.ref[pd.DataFrame]] = []
    alive: list[int] = []

    def parts() -> Iterator[pd.DataFrame]:
        for number in range(PARTS):
            gc.collect()
            alive.append(sum(one() is not None for one in given))
            first = number * ROWS
            frame = pd.DataFrame({"id": range(first, first + ROWS), "problem": pd.Series([None] * ROWS)})
            given.append(weakref.ref(frame))
            yield frame

    rules = (null("sound", "nothing is wrong", "problem"), unique("once", "an id is there once", "id"))
    [result] = run_suites([Suite("made", parts, ("id",), rules, parts)], tmp_path)
    assert (result["success"], result["rows"], result["evaluated"]) == (True, PARTS * ROWS, 2)
    assert len(alive) == 2 * PARTS
    assert max(alive) <= 1, "only the part in hand"
