from pathlib import Path

import numpy as np
import pytest

from trace_retriever.errors import DataError
from trace_retriever.evaluation.runs import Ranked, read_run, write_run


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    scores = np.array([0.9, 1 / 3], np.float32)
    lines = [Ranked("10:1", f"10:{n}", n, float(score), "auto", 0) for n, score in enumerate(scores, start=1)]
    write_run(tmp_path / "run.trec", lines)
    found = read_run(tmp_path / "run.trec")["10:1"]
    assert [(line.did, line.rank, line.run_id, line.task_id) for line in found] == [
        ("10:1", 1, "auto", 0),
        ("10:2", 2, "auto", 0),
    ]
    assert np.array([line.score for line in found], np.float32).tolist() == scores.tolist()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10:1 Q0 10:2 1 0.5 auto\n", "a line is"),
        ("10:1 Q0 10:2 first 0.5 auto 0\n", "invalid literal"),
        ("10:1 Q0 10:2 2 0.5 auto 0\n", "rank 2 of query 10:1 follows 0"),
        ("10:1 Q0 10:2 1 0.5 auto 0\n10:1 Q0 10:2 2 0.4 auto 0\n", "ranked twice"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(text)
    with pytest.raises(DataError, match=problem) as caught:
        read_run(path)
    assert f"{path}:{text.count(chr(10))}" in str(caught.value)


def test_a_missing_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found"):
        read_run(tmp_path / "run.trec")
