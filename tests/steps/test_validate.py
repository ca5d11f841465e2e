import json
from pathlib import Path

import pytest
from tests.validation.made import CAPTION, edit_lines, query_path, write_made

from trace_retriever.cli import main
from trace_retriever.config.validate import ValidateConfig
from trace_retriever.io.files import read_json
from trace_retriever.runner import run_step

INPUTS = {"dataset": "mbeir", "routes": "routes", "kept": "kept"}


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with its validation in `out` and `report`."""
    root = write_made(tmp_path_factory.mktemp("validate"))
    inputs = {name: root / folder for name, folder in INPUTS.items()}
    run_step(
        "validate",
        ValidateConfig(),
        inputs=inputs,
        out=root / "out",
        report=root / "report",
        work_root=root / "work",
    )
    return root


def test_good_data_pass_and_leave_data_docs(passed: Path) -> None:
    validation = read_json(passed / "out/validation.json")
    assert validation["success"] is True
    assert [suite["name"] for suite in validation["suites"]][:3] == ["queries", "candidates", "qrels"]
    metrics = read_json(passed / "report/metrics.json")
    assert metrics["failed"] == 0
    assert metrics["expectations"] == sum(suite["evaluated"] for suite in validation["suites"]) >= 50
    assert "<html" in (passed / "report/data_docs/index.html").read_text()
    assert 'href="data_docs/index.html"' in (passed / "report/validation.html").read_text()


def test_outputs_name_no_place_and_no_time(passed: Path) -> None:
    for name in ("validation.json", "statistics.json"):
        content = (passed / "out" / name).read_text()
        assert str(passed) not in content
        assert "run_id" not in content


def test_bad_data_and_drift_refuse_with_code_three_after_writing_everything(
    passed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_made(tmp_path / "made")
    edit_lines(query_path(root, CAPTION, "train"), lambda rows: rows[0].update(task_id=3))
    edit_lines(root / "kept/kept.jsonl", lambda rows: [row.update(reasoning="word " * 90) for row in rows])
    given = [argument for name, folder in INPUTS.items() for argument in (f"--{name}", str(root / folder))]
    where = [
        "--out",
        str(tmp_path / "out"),
        "--report",
        str(tmp_path / "report"),
        "--previous",
        str(passed / "out"),
    ]
    with pytest.raises(SystemExit) as caught:
        main(["validate", *given, *where])
    assert caught.value.code == 3
    message = capsys.readouterr().err
    assert "queries.task_pair, 1 rows" in message
    assert "10:0" in message
    validation = json.loads((tmp_path / "out/validation.json").read_text())
    assert validation["failed"] == ["queries.task_pair", "drift.distribution"]
    (drift,) = [suite for suite in validation["suites"] if suite["name"] == "drift"]
    (example,) = drift["expectations"][0]["examples"]
    assert (example["table"], example["column"], example["distance"]) == ("traces", "reasoning_words", 1.0)
    page = (tmp_path / "report/validation.html").read_text()
    assert "FAILED" in page
    assert "10:0" in page
    assert (tmp_path / "report/data_docs/index.html").is_file()
    assert read_json(tmp_path / "report/metrics.json")["max_drift"] == 1.0


def test_a_previous_directory_that_is_none_is_named(
    passed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [argument for name, folder in INPUTS.items() for argument in (f"--{name}", str(passed / folder))]
    where = ["--out", str(tmp_path / "out"), "--report", str(tmp_path / "report")]
    with pytest.raises(SystemExit) as caught:
        main(["validate", *given, *where, "--previous", str(passed / "routes")])
    assert caught.value.code == 1
    assert "statistics.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
