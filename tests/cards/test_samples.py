from collections.abc import Callable
from pathlib import Path

import pytest

from trace_retriever.cards.samples import copy_samples
from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_tree

PICTURE = f"{'0a' * 16}.png"


def write(evaluation: Path) -> dict[str, str]:
    folder = evaluation / "samples"
    (folder / "pictures").mkdir(parents=True)
    (folder / "samples.jsonl").write_text("{}\n")
    (folder / "pictures" / PICTURE).write_bytes(b"PNG")
    return {"samples": digest_tree(folder)}


def test_samples_become_evidence(tmp_path: Path) -> None:
    results = write(tmp_path / "evaluation")
    copy_samples(tmp_path / "evaluation", results, tmp_path / "evidence")
    assert digest_tree(tmp_path / "evidence") == results["samples"]


def test_an_evaluation_without_samples_has_none_to_copy(tmp_path: Path) -> None:
    copy_samples(tmp_path, {}, tmp_path / "evidence")
    assert not (tmp_path / "evidence").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "samples.jsonl").write_text("{}\n{}\n"), "not those that the evaluation"),
        (lambda folder: (folder / "samples.jsonl").unlink(), "not those that the evaluation"),
        (lambda folder: (folder / "page.html").touch(), "a file that is no sample"),
        (lambda folder: (folder / "pictures/a.svg").touch(), "a file that is no sample"),
        (lambda folder: (folder / f"pictures/{'1' * 32}.png").symlink_to("/etc/hostname"), "no sample"),
    ],
)
def test_other_samples_are_refused(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    results = write(tmp_path / "evaluation")
    spoil(tmp_path / "evaluation/samples")
    with pytest.raises(DataError, match=message):
        copy_samples(tmp_path / "evaluation", results, tmp_path / "evidence")
