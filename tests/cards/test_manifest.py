from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cards.chain import register_chain, write_chain

from trace_retriever.cards.manifest import code_digest, verify_registered
from trace_retriever.cli import main
from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_file, read_json, write_json


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    return register_chain(write_chain(tmp_path))


def test_what_was_registered_verifies(registered: Path) -> None:
    manifest = verify_registered(registered)
    assert (manifest["name"], manifest["version"], manifest["type"]) == ("trace", "1.2.3", "model")
    assert manifest["code"]["digest"] == code_digest()
    assert verify_registered(registered, digest_file(registered / "manifest.json")) == manifest


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda root: flip(root / "model.safetensors"), "model.safetensors was altered"),
        (lambda root: flip(root / "evidence/queries.parquet"), "evidence/queries.parquet was altered"),
        (lambda root: (root / "MODEL_CARD.md").write_text("best model"), "MODEL_CARD.md was altered"),
        (lambda root: (root / "trace.json").unlink(), "trace.json is missing"),
        (lambda root: (root / "more.py").write_text("pass"), "more.py was added"),
        (lambda root: (root / "manifest.json").write_text("[]"), "not the manifest"),
        (lambda root: (root / "manifest.json").unlink(), "file not found"),
    ],
)
def test_tampering_is_detected(registered: Path, tamper: Callable[[Path], object], message: str) -> None:
    tamper(registered)
    with pytest.raises(DataError, match=message):
        verify_registered(registered)


def test_a_verdict_rewritten_together_with_the_manifest_is_detected(registered: Path) -> None:
    known = digest_file(registered / "manifest.json")
    verdict = registered / "evidence/verdict.json"
    write_json(verdict, read_json(verdict) | {"evaluation": "sha256:another"})
    manifest = read_json(registered / "manifest.json")
    manifest["files"]["evidence/verdict.json"]["digest"] = digest_file(verdict)
    write_json(registered / "manifest.json", manifest)
    with pytest.raises(DataError, match="another evaluation"):
        verify_registered(registered)
    with pytest.raises(DataError, match="expected"):
        verify_registered(registered, known)


def test_the_command_says_what_it_found(registered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["verify", str(registered)])
    assert "trace 1.2.3: 9 files as they were registered" in capsys.readouterr().out
    flip(registered / "model.safetensors")
    with pytest.raises(SystemExit) as caught:
        main(["verify", str(registered)])
    assert caught.value.code == 1
    assert "model.safetensors was altered" in capsys.readouterr().err
