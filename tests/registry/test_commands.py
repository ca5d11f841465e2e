"""`trace registry …` from the first command to the last, as a person would type them."""

import getpass
import json
import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from tests.registry.made import Packages
from tests.registry.test_webhooks import SECRET, VARIABLE, receiving

from trace_retriever.cli import main, trace
from trace_retriever.io.files import digest_tree, write_json
from trace_retriever.registry.commands import STATES, registry_group
from trace_retriever.registry.types import State

RULES = """
registry:
  roles:
    ann: [requester]
    ben: [reviewer]
    dea: [deployer]
"""
Says = Callable[..., tuple[int, str, str]]


@pytest.fixture
def says(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Says:
    """Runs `trace registry …` in a folder with rules; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRACE_REGISTRY", raising=False)
    Path("deploy").mkdir()
    Path("deploy/promotion.yaml").write_text(RULES)

    def run(*words: str) -> tuple[int, str, str]:
        code = 0
        try:
            main(["registry", *words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_whole_way(says: Says, packages: Packages) -> None:
    for version in ("1.0.0", "1.1.0"):
        code, out, _ = says("register", str(packages.make(version)), "--as", "ann", "--commit", "abc")
        assert (code, out.splitlines()[0]) == (0, f"trace {version}: candidate")
        code, out, _ = says("request", "trace", version, "--why", "better on hops", "--as", "ann")
        assert "open until" in out
        number = out.split()[1].rstrip(":")
        _, shown, _ = says("show", "trace", version, "--json")
        evidence = json.loads(shown)["version"]["digests"]["evidence"]
        assert evidence in says("show", "trace", version)[1]
        assert says("approve", number, "--why", "seen", "--evidence", evidence, "--as", "ben")[1] == (
            f"request {number}: trace {version} approved\n"
        )
        assert says("canary", "trace", version, "--why", "go", "--as", "dea")[0] == 0
        assert (
            says("promote", "trace", version, "--why", "go", "--as", "dea")[1]
            == f"trace {version}: production\n"
        )
    assert Path(".trace/registry.db").is_file()
    assert "trace 1.1.0  production" in says("list")[1]
    assert says("list", "--state", "retired")[1].count("trace 1.0.0") == 1
    md5 = says("md5", "trace")[1].strip()
    assert (md5, json.loads(says("md5", "trace", "--json")[1])) == (
        says("md5", "trace", "1.1.0")[1].strip(),
        {"md5": md5},
    )
    assert re.fullmatch(r"[0-9a-f]{32}\.dir", md5)
    assert says("rollback", "trace", "--why", "slow", "--as", "dea")[1] == "trace 1.0.0: production\n"
    assert "production > retired, retired > production" in says("log")[1]
    entries = json.loads(says("log", "--json", "--after", "9")[1])
    assert [entry["act"] for entry in entries] == ["promote", "rollback"]
    _, out, _ = says("verify")
    assert out.startswith("11 entries, each as it was written")
    head = out.split()[-1]
    assert says("verify", "--head", head)[0] == 0
    code, _, error = says("verify", "--head", "sha256:" + "1" * 64)
    assert code == 1
    assert "no entry with hash" in error
    assert says("list", "--requests")[1].count("approved") == 2


def test_what_the_rules_refuse_ends_with_three_and_says_what_would_help(
    says: Says, packages: Packages
) -> None:
    package = str(packages.make("1.0.0"))
    code, _, error = says("register", package, "--as", "eve")
    assert code == 3
    assert "eve may not register a version: not a requester" in error
    assert "roles: {eve: [requester]}" in error
    me = getpass.getuser()
    assert f"{me} may not register" in says("register", package)[2]
    assert says("register", package, "--as", "ann")[0] == 0
    says("request", "trace", "1.0.0", "--why", "go", "--as", "ann")
    code, _, error = says("approve", "1", "--why", "x", "--evidence", "sha256:0", "--as", "ben")
    assert code == 1
    assert "evidence that was seen is not" in error
    assert says("reject", "1", "--why", "x", "--evidence", "sha256:0", "--as", "ann")[0] == 3
    assert says("withdraw", "1", "--why", "not yet", "--as", "ann")[1] == "request 1: trace 1.0.0 withdrawn\n"
    code, _, error = says("abort", "trace", "1.0.0", "--why", "x", "--as", "dea")
    assert (code, "is candidate; only what is canary" in error) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("list", "--url", "mysql://host/x"), 1, "SQLite or PostgreSQL, not in mysql"),
        (("list", "--url", "sqlite://"), 1, "a registry in memory would forget"),
        (("list", "--url", "nonsense"), 1, "not a database's address"),
        (("list", "--rules", "none.yaml"), 1, "promotion rules not found"),
        (("list", "--state", "best"), 2, "best"),
        (("show", "trace", "9.9.9"), 1, "no version trace 9.9.9"),
        (("md5", "trace"), 1, "no version of trace is in production"),
        (("approve", "1", "--why", "x"), 2, "--evidence"),
        (("request", "trace", "1.0.0"), 2, "--why"),
        (("register", "nowhere", "--as", "ann"), 1, "file not found"),
        (("register", ".", "--as", "a b"), 1, "not the name of a person"),
    ],
)
def test_what_is_wrong_is_said(says: Says, words: tuple[str, ...], code: int, message: str) -> None:
    found, _, error = says(*words)
    assert (found, message in error) == (code, True), error
    assert "Traceback" not in error


def test_a_password_in_the_address_is_not_shown(says: Says) -> None:
    code, out, error = says("list", "--url", "postgresql://eve:hunter2@127.0.0.1:9/none?connect_timeout=1")
    assert code == 1
    assert "refused" in error
    assert "hunter2" not in out + error


def test_an_act_sends_its_webhooks_and_says_what_waits(
    says: Says, packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    package = str(packages.make("1.0.0"))
    with receiving() as receiver:
        hooks = f"  webhooks: [{{url: '{receiver.url}', secret_env: {VARIABLE}}}]\n"
        Path("deploy/promotion.yaml").write_text(RULES + hooks)
        assert says("register", package, "--as", "ann")[2] == ""
        receiver.answers = [500]
        code, out, error = says("request", "trace", "1.0.0", "--why", "go", "--as", "ann")
        assert (code, out.startswith("request 1")) == (0, True)
        assert "1 waiting, 0 given up" in error
    assert says("deliver")[1] == "0 delivered, 1 waiting, 0 given up\n"


def test_what_was_kept_is_what_was_registered(says: Says, packages: Packages) -> None:
    package = packages.make("1.2.0")
    says("register", str(package), "--as", "ann")
    [kept] = Path(".trace/registry/packages").glob("[0-9a-f]*")
    assert digest_tree(kept) == digest_tree(package)


def test_commit_and_run_are_taken_from_the_step_s_note_of_this_package(
    says: Says, packages: Packages
) -> None:
    for version, output in (("1.3.0", None), ("1.3.1", "sha256:other")):
        package = packages.make(version)
        note = {"output": output or digest_tree(package), "commit": "abc-dirty", "run": "run-7"}
        write_json(Path("results/register/manifest.json"), note)
        _, out, _ = says("register", str(package), "--as", "ann", "--json")
        found = json.loads(out)
        assert (found["commit"], found["run"]) == ((None, None) if output else ("abc-dirty", "run-7"))


def test_the_choices_are_the_states() -> None:
    assert tuple(STATES) == tuple(State)
    assert isinstance(trace.commands["registry"], click.Group)
    assert set(registry_group.commands) == {
        "register", "list", "show", "request", "approve", "reject", "withdraw", "canary", "promote", "abort",
        "rollback", "log", "verify", "deliver", "md5",
    }  # fmt: skip
