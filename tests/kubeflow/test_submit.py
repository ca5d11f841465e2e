"""Submitting and waiting over HTTP, against a server that speaks KFP's API and fails as told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.kubeflow.kfp_api import Api, serve

from trace_retriever.cli import main
from trace_retriever.io.files import read_json
from trace_retriever.kubeflow import submit as submitting

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
TOKEN = "a-very-secret-token"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(submitting, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    with serve() as server:
        yield server


def submit(api: Api, records: Path, *options: str) -> None:
    main(
        [
            *(
                "pipeline",
                "submit",
                "promotion",
                "--host",
                api.address,
                "--pipelines",
                str(ROOT / "pipelines"),
            ),
            *("--records", str(records), "--arg", "model=" + "0" * 32 + ".dir", "--arg", "manifest=sha256:1"),
            *("--arg", "name=trace", "--arg", "version=1.2.3"),
            *("--poll", "0.01", "--experiment", "nightly", *options),
        ]
    )


def problem(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_a_run_is_started_with_its_arguments_and_followed_to_its_end(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.token = TOKEN
    submit(api, tmp_path, "--token-env", "KFP_TOKEN", "--namespace", "team", "--wait")
    [(run, body)] = api.runs.items()
    assert [experiment["display_name"] for experiment in api.experiments] == ["nightly"]
    assert api.experiments[0]["namespace"] == "team"
    assert body["experiment_id"] == api.experiments[0]["experiment_id"]
    assert body["runtime_config"]["parameters"] == {
        "model": "0" * 32 + ".dir",
        "manifest": "sha256:1",
        "name": "trace",
        "version": "1.2.3",
    }
    assert body["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "promotion"
    assert "kubernetes" in body["pipeline_spec"]["platform_spec"]["platforms"]
    shown = capsys.readouterr()
    states = [line.split()[-1] for line in shown.out.splitlines() if line.startswith("prepare ")]
    assert states == ["PENDING", "RUNNING", "SUCCEEDED"]
    record = read_json(tmp_path / f"{run}.json")
    assert record["state"] == "SUCCEEDED"
    assert str(record["commit"])[:12] in body["display_name"] or record["commit"] is None
    everything = shown.out + shown.err + (tmp_path / f"{run}.json").read_text()
    assert TOKEN not in everything


def test_the_token_file_is_read_again_for_each_request(api: Api, tmp_path: Path) -> None:
    api.token, file = TOKEN, tmp_path / "token"
    file.write_text(TOKEN)
    submit(api, tmp_path / "records", "--token-file", str(file), "--wait")
    assert {authorization for _, _, authorization in api.requests} == {f"Bearer {TOKEN}"}


def test_an_experiment_that_is_there_is_used(api: Api, tmp_path: Path) -> None:
    submit(api, tmp_path)
    submit(api, tmp_path)
    assert len(api.experiments) == 1
    assert len(api.runs) == 2


@pytest.mark.parametrize(
    ("faults", "runs"),
    [
        ({("POST", "/runs"): [500, 503]}, 1),
        ({("POST", "/runs"): [0]}, 1),
        ({("POST", "/runs"): [-1]}, 1),  # it came through, and its answer was lost: not started twice
        ({("GET", "/experiments"): [500, 0, 429]}, 1),
    ],
)
def test_faults_that_pass_are_sat_out_and_start_one_run(
    api: Api, tmp_path: Path, faults: dict[tuple[str, str], list[int]], runs: int
) -> None:
    api.faults = faults
    submit(api, tmp_path, "--wait")
    assert len(api.runs) == runs
    assert not any(faults.values())


@pytest.mark.parametrize(
    ("token", "faults", "message"),
    [
        (TOKEN + "x", {}, "401"),
        (None, {("POST", "/runs"): [404]}, "check --host"),
        (None, {("POST", "/runs"): [403]}, "lacks the right"),
        (None, {("POST", "/runs"): [500] * 5}, "out of order"),
        (None, {("GET", "/experiments"): [0] * 60}, "cannot be reached"),
    ],
)
def test_what_does_not_pass_is_an_error_without_the_token(
    api: Api,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    token: str | None,
    faults: Any,
    message: str,
) -> None:
    api.token, api.faults = token, faults
    with pytest.raises(SystemExit) as stopped:
        submit(api, tmp_path, "--token-env", "KFP_TOKEN")
    assert stopped.value.code == 1
    said = problem(capsys)
    assert message in said
    assert TOKEN not in said
    assert not api.runs
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "SKIPPED"])
def test_a_run_that_does_not_succeed_is_an_error(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    api.states = ["RUNNING", state]
    with pytest.raises(SystemExit) as stopped:
        submit(api, tmp_path, "--wait")
    assert stopped.value.code == 1
    assert f"ended {state}" in problem(capsys)
    assert read_json(next(tmp_path.glob("*.json")))["state"] == state


def test_a_failed_run_says_which_task_and_why(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.states = ["FAILED"]
    with pytest.raises(SystemExit):
        submit(api, tmp_path, "--wait")
    assert "prepare broke; failed: prepare" in problem(capsys)


def test_a_run_that_does_not_end_in_time_is_an_error(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.states = ["RUNNING"]
    with pytest.raises(SystemExit):
        submit(api, tmp_path, "--wait", "--timeout", "0.1")
    assert "RUNNING after" in problem(capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--token-env", "NOT_SET"), "holds no token"),
        (("--token-file", "none"), "token file not found"),
        (("--arg", "modle=x"), "known: manifest, model"),
        (("--set", "trian.steps=2"), "did you mean 'train'?"),
    ],
)
def test_a_users_mistake_is_told_before_any_request(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, str], message: str
) -> None:
    with pytest.raises(SystemExit):
        submit(api, tmp_path, *options)
    assert message in problem(capsys)
    assert api.requests == []


def test_nothing_that_may_not_pass_is_tried_again(api: Api) -> None:
    tries = []

    def refuse() -> None:
        tries.append(1)
        raise KeyError("ours")

    with pytest.raises(KeyError):
        submitting.call(api.address, refuse)
    assert len(tries) == 1
