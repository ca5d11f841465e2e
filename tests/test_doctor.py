import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from trace_retriever import doctor
from trace_retriever.cli import trace
from trace_retriever.doctor import Check, as_json, describe, diagnose, healthy


@pytest.fixture(scope="module")
def checks() -> list[Check]:
    return diagnose()


def named(checks: list[Check], name: str) -> Check:
    (found,) = [check for check in checks if check.name == name]
    return found


def test_the_machine_that_runs_the_tests_is_healthy(checks: list[Check]) -> None:
    assert healthy(checks), describe(checks)


def test_each_thing_is_looked_at_once(checks: list[Check]) -> None:
    names = [check.name for check in checks]
    assert len(names) == len(set(names))
    machine = {"python", "cores", "memory", "disk", "torch build", "bf16", "faiss GPU"}
    assert machine | {"C++ compiler", "git", "dvc command"} <= set(names)
    assert {"deepspeed", "great-expectations", "transformers"} <= set(names)


def test_whatever_is_not_ok_has_a_remedy(checks: list[Check]) -> None:
    assert [check for check in checks if check.status != "ok" and not check.remedy] == []


def test_a_program_that_is_needed_and_not_there_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = diagnose()
    assert named(found, "git").status == "missing"
    assert named(found, "git").remedy
    assert named(found, "container builder").status == "warn"
    assert not healthy(found)
    assert "missing: " in describe(found).splitlines()[-1]


def test_a_package_of_another_version_names_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["click>=99", "no-such-package-here>=1", "pyyaml>=6", "other>=1; extra == 'gpu'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda _: wanted)
    click, absent, yaml = doctor.packages()
    assert click.status == "missing"
    assert ">=99" in click.found
    assert absent == Check(
        "no-such-package-here", "missing", "not installed", "pip install 'no-such-package-here>=1'"
    )
    assert yaml.status == "ok"


def test_json_holds_every_check(checks: list[Check]) -> None:
    data = json.loads(json.dumps(as_json(checks)))
    assert data["healthy"] is True
    assert [entry["name"] for entry in data["checks"]] == [check.name for check in checks]


def test_the_command_exits_with_one_when_something_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = CliRunner().invoke(trace, ["doctor", "--json"])
    assert whole.exit_code == 0
    assert json.loads(whole.output)["healthy"] is True
    monkeypatch.setenv("PATH", str(tmp_path))
    lacking = CliRunner().invoke(trace, ["doctor"])
    assert lacking.exit_code == 1
    assert "install git" in lacking.output
