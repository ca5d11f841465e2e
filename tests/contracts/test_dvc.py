"""What DVC is relied on for: outputs pushed to a local or an S3 remote come back, bytes and all."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.s3 import CREDENTIALS, object_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # moto's server threads
]

STAGE = """\
stages:
  make:
    cmd: "{python} make.py"
    deps: [make.py]
    outs: [models/registered]
    metrics: [results/make/metrics.json: {{cache: false}}]
"""
MAKE = """\
import pathlib
for name, content in {"model.safetensors": bytes(range(256)) * 400, "config.json": b"{}"}.items():
    path = pathlib.Path("models/registered", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
metrics = pathlib.Path("results/make/metrics.json")
metrics.parent.mkdir(parents=True, exist_ok=True)
metrics.write_text('{"r1": 0.5}')
"""
SURROUNDINGS = {
    **os.environ,
    "DVC_NO_ANALYTICS": "1",
    **CREDENTIALS,
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "test@localhost",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "test@localhost",
}


def run(root: Path, *command: str) -> str:
    answer = subprocess.run(command, cwd=root, env=SURROUNDINGS, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def dvc(root: Path, *arguments: str) -> str:
    return run(root, sys.executable, "-m", "dvc", *arguments)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Git and DVC repository with one stage that has run."""
    root = tmp_path_factory.mktemp("repository") / "one"
    root.mkdir()
    (root / "dvc.yaml").write_text(STAGE.format(python=sys.executable))
    (root / "make.py").write_text(MAKE)
    run(root, "git", "init", "--quiet")
    dvc(root, "init", "--quiet")
    dvc(root, "repro")
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "--quiet", "--message", "made")
    return root


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Address of an S3 server on this machine, with a bucket `models`."""
    pytest.importorskip("moto.server")
    with object_store() as address:
        yield address


def content(root: Path) -> dict[str, bytes]:
    folder = root / "models" / "registered"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def bring_back(made: Path, elsewhere: Path) -> None:
    """Push from one checkout; pull in a clone that has neither outputs nor cache; compare."""
    dvc(made, "push")
    run(made.parent, "git", "clone", "--quiet", str(made), str(elsewhere))
    shutil.copy(made / ".dvc" / "config.local", elsewhere / ".dvc" / "config.local")
    assert not (elsewhere / "models" / "registered").exists()
    assert not (elsewhere / ".dvc" / "cache").exists()
    dvc(elsewhere, "pull")
    assert content(elsewhere) == content(made)
    assert "up to date" in dvc(elsewhere, "repro")


def test_outputs_come_back_from_a_folder(made: Path, tmp_path: Path) -> None:
    dvc(made, "remote", "add", "--local", "--force", "--default", "team", str(tmp_path / "remote"))
    bring_back(made, tmp_path / "clone")


def test_outputs_come_back_from_an_s3_server(made: Path, s3: str, tmp_path: Path) -> None:
    dvc(made, "remote", "add", "--local", "--force", "--default", "team", "s3://models/dvc")
    dvc(made, "remote", "modify", "--local", "team", "endpointurl", s3)
    bring_back(made, tmp_path / "clone")


def test_a_remote_that_lacks_the_outputs_is_an_error(made: Path, tmp_path: Path) -> None:
    dvc(made, "remote", "add", "--local", "--force", "--default", "team", str(tmp_path / "empty"))
    shutil.copytree(made, tmp_path / "clone", ignore=shutil.ignore_patterns("cache", "models"))
    with pytest.raises(AssertionError, match=r"(?i)missing|not exist|failed to pull"):
        dvc(tmp_path / "clone", "pull")
