from pathlib import Path

import pytest
from tests.gates.records import records, write_evaluation, write_validation

from trace_retriever.cli import main
from trace_retriever.io.files import read_json

RATES = {"mojicap_task0": 0.9, "mojihop_task1": 0.8}


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """Command line of a gate over a good evaluation."""
    write_evaluation(tmp_path / "evaluation", records("auto", RATES))
    write_validation(tmp_path / "validation")
    given = {"evaluation": "evaluation", "validation": "validation", "out": "verdict", "report": "report"}
    return [
        "gate",
        *(word for name, folder in given.items() for word in (f"--{name}", str(tmp_path / folder))),
    ]


def test_a_good_model_passes_and_leaves_verdict_and_page(
    tmp_path: Path, inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(inputs)
    assert "passed" in capsys.readouterr().out
    verdict = read_json(tmp_path / "verdict/verdict.json")
    assert verdict["passed"] is True
    assert verdict["champion"] is None
    assert "PASSED" in (tmp_path / "report/gate.html").read_text()
    assert read_json(tmp_path / "report/metrics.json")["headline"]["average"] == pytest.approx(0.85)
    first = (tmp_path / "verdict/verdict.json").read_bytes()
    main(inputs)
    assert (tmp_path / "verdict/verdict.json").read_bytes() == first


def test_a_better_champion_ends_in_code_three_and_the_report_is_there(
    tmp_path: Path, inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    champion = write_evaluation(
        tmp_path / "model/evidence", records("auto", RATES | {"mojihop_task1": 1.0})
    ).parent
    with pytest.raises(SystemExit) as caught:
        main([*inputs, "--champion", str(champion)])
    assert caught.value.code == 3
    assert "non-inferiority, mojihop_task1: worse than the champion" in capsys.readouterr().err
    verdict = read_json(tmp_path / "verdict/verdict.json")
    assert verdict["passed"] is False
    assert verdict["failed"] == ["non-inferiority: average", "non-inferiority: mojihop_task1"]
    assert "REFUSED" in (tmp_path / "report/gate.html").read_text()
    metrics = read_json(tmp_path / "report/metrics.json")
    assert metrics["passed"] is False
    assert metrics["against_champion"]["mojihop_task1"] == pytest.approx(-0.2)


def test_a_threshold_of_the_params_refuses(tmp_path: Path, inputs: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*inputs, "--set", "gate.floors.average=0.86"])
    assert caught.value.code == 3
    assert read_json(tmp_path / "verdict/verdict.json")["policy"]["floors"]["average"] == 0.86


def test_a_broken_evaluation_is_a_users_error(
    tmp_path: Path, inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evaluation/queries.parquet").write_text("not parquet")
    with pytest.raises(SystemExit) as caught:
        main(inputs)
    assert caught.value.code == 1
    assert "queries.parquet" in capsys.readouterr().err
    assert not (tmp_path / "verdict").exists()
