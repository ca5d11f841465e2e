import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cards.chain import write_model

from trace_retriever.cards.package import check_files, copy_model
from trace_retriever.errors import DataError


def test_a_model_directory_is_copied_whole(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    (tmp_path / "out").mkdir()
    copy_model(model, tmp_path / "out")
    names = [path.name for path in check_files(model)]
    assert names == ["chat_template.jinja", "config.json", "model.safetensors", "trace.json"]
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == [
        (model / name).read_bytes() for name in names
    ]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda model: (model / "pytorch_model.bin").write_bytes(b"PK"), "kind '.bin' may run code"),
        (lambda model: (model / "step.pt").write_bytes(b"PK"), "kind '.pt' may run code"),
        (lambda model: (model / "a.pkl").write_bytes(pickle.dumps([])), "kind '.pkl' may run code"),
        (lambda model: (model / "modeling.py").write_text("pass"), "kind '.py' may run code"),
        (lambda model: (model / "blob").write_bytes(b"\x80\x04"), "kind 'blob' may run code"),
        (lambda model: (model / "link.json").symlink_to(model / "config.json"), "no links"),
        (
            lambda model: (model / "evidence").mkdir() or (model / "evidence/a.json").touch(),
            "registered already",
        ),
        (lambda model: (model / "model.safetensors").write_bytes(b"\x00" * 20), "not a whole safetensors"),
        (lambda model: (model / "model.safetensors").unlink(), "no safetensors weights"),
    ],
)
def test_what_may_run_code_or_is_broken_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    model = write_model(tmp_path / "model")
    spoil(model)
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=message):
        copy_model(model, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
