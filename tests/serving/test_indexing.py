"""From the vectors of `trace embed` to an index that `trace serve` takes, by the command."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.serving.running import Served

from trace_retriever.cli import main
from trace_retriever.errors import DataError, Refused
from trace_retriever.io.files import digest_tree
from trace_retriever.serving.identity import identify
from trace_retriever.serving.retrieve import Retriever
from trace_retriever.store.embeddings import Embeddings


def index(served: Served, out: Path, *options: str) -> None:
    places = ["--embeddings", str(served.embeddings), "--out", str(out)]
    main(["index", *places, "--split", "test", "-k", "3", *options])


def fails(capsys: pytest.CaptureFixture[str], served: Served, out: Path, *options: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stopped:
        index(served, out, *options)
    return int(str(stopped.value.code)), capsys.readouterr().err


def test_what_the_command_prints_is_what_a_server_pins(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index(served, tmp_path / "index", "--kind", "flat")
    *_, said = capsys.readouterr().out.splitlines()
    digest = said.rpartition(" ")[2]
    sources = replace(served.sources, index=tmp_path / "index")
    models = identify(served.model).models
    found = Retriever(sources, models, digest)
    assert found.snapshot.digest == digest
    assert found.snapshot.fast is not None
    exact = Retriever(served.sources, models)
    vector = Embeddings.load(served.embeddings).of("mojihop_task1", "test")[1][0, 0]
    assert found.search(vector, 3) == exact.search(vector, 3)
    with pytest.raises(DataError, match="expected"):
        Retriever(served.sources, models, digest)
    assert f"--index {tmp_path}/index --index-digest {digest}" in said


def test_an_index_that_finds_too_little_is_refused_and_the_old_one_stays(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trace_retriever.search import building

    index(served, tmp_path / "index", "--kind", "flat")
    before = digest_tree(tmp_path / "index")
    monkeypatch.setattr(building, "recall", lambda *_, **__: 0.5)  # this few candidates are always found
    code, said = fails(capsys, served, tmp_path / "index", "--kind", "flat")
    assert code == Refused.exit_code
    assert "recall@3" in said
    assert digest_tree(tmp_path / "index") == before


def test_what_it_cannot_be_built_from_is_named(
    copied: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = fails(capsys, copied, tmp_path / "index", "--split", "train")
    assert code == 1
    assert "splits that were embedded: test" in said
    code, said = fails(capsys, copied, copied.embeddings.parent)
    assert "take the place of the embeddings" in said
    file = copied.embeddings / "candidates/00000.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    code, said = fails(capsys, copied, tmp_path / "index")
    assert "00000.npy" in said
    assert not (tmp_path / "index").exists()
