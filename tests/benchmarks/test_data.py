"""The benchmark of the data steps at a tiny share of M-BEIR's size."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

data: Any = importlib.import_module("data")  # by name: a checkout may have a folder `data` too
PROGRAM = Path(data.__file__)


@pytest.mark.slow
def test_all_steps_run_at_a_tiny_scale(tmp_path: Path) -> None:
    result = tmp_path / "data.json"
    command = [sys.executable, str(PROGRAM), "--scale", "0.0002", "--scale", "0.0004"]
    command += ["--folder", str(tmp_path / "made"), "--result", str(result)]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=600)
    found = json.loads(result.read_text())
    assert set(found["scales"]) == {"0.0002", "0.0004"}
    assert found["full_size"]["from"] == [0.0002, 0.0004]
    for scale in found["scales"].values():
        steps = scale["steps"]
        assert list(steps) == ["filter", "prepare", "route", "synthesize", "validate"]
        assert all(step["peak_rss_mb"] > 10 and step["records"] > 0 for step in steps.values())
        assert steps["filter"]["metrics"]["kept"] == steps["synthesize"]["records"]
        assert steps["validate"]["metrics"]["failed"] == 0
    assert not list((tmp_path / "made").iterdir()), "the data are removed"


def test_the_line_to_full_size_goes_through_the_two_largest_scales() -> None:
    def steps(seconds: float, peak: float) -> dict[str, object]:
        return {"steps": {"prepare": {"seconds": seconds, "peak_rss_mb": peak}}}

    scales = {"0.01": steps(50, 50), "0.1": steps(10, 200), "0.2": steps(19, 250)}
    assert data.at_full_size(scales)["prepare"] == {"seconds": 91, "peak_rss_mb": 650}
    assert data.at_full_size({"0.1": scales["0.1"]}) == {}
