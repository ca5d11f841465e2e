"""Outputs by digest: pushed from here, pulled there; the same digests as DVC's own; damage is found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_tree
from trace_retriever.kubeflow.remote import Remote

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    (folder / "below").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "below/card.md").write_text("a card\n")
    return folder


def test_what_was_pushed_comes_back_and_is_what_dvc_calls_it(made: Path, tmp_path: Path) -> None:
    remote = Remote(str(tmp_path / "remote"))
    before = digest_tree(made)
    digest = remote.push(made)
    remote.pull(digest, tmp_path / "back")
    assert digest_tree(tmp_path / "back") == before == digest_tree(made)
    assert os.access(made / "model.safetensors", os.W_OK)
    for command in (["init", "--no-scm", "--quiet"], ["add", "--quiet", "made"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=tmp_path, check=True, timeout=120)
    assert yaml.safe_load((tmp_path / "made.dvc").read_text())["outs"][0]["md5"] == digest


def test_damaged_content_is_refused_and_leaves_nothing(made: Path, tmp_path: Path) -> None:
    remote = Remote(str(tmp_path / "remote"))
    digest = remote.push(made)
    files = [path for path in (tmp_path / "remote").rglob("*") if path.is_file()]
    [card] = [path for path in files if path.read_bytes() == b"a card\n"]
    card.chmod(0o644)
    card.write_text("A CARD\n")
    with pytest.raises(DataError, match="pull failed"):
        remote.pull(digest, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert not list(tmp_path.glob(".dvc-*"))


@pytest.mark.parametrize(("digest", "message"), [("0" * 32 + ".dir", "pull failed"), ("main", "not the md5")])
def test_what_is_not_there_is_named(tmp_path: Path, digest: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Remote(str(tmp_path / "remote")).pull(digest, tmp_path / "back")
