"""What a link leads to, in the link's place."""

from pathlib import Path

import pytest

from trace_retriever.errors import DataError
from trace_retriever.io.links import materialise


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "pictures/below").mkdir(parents=True)
    (folder / "pictures/below/one.jpg").write_bytes(b"one")
    (folder / "pool.jsonl").write_text("{}\n")
    (folder / "pictures/again.jsonl").symlink_to(folder / "pool.jsonl")
    return folder


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    (folder / "cand_pool").mkdir(parents=True)
    (folder / "own.txt").write_text("own\n")
    return folder


def test_files_and_folders_take_the_place_of_their_links(source: Path, made: Path) -> None:
    (made / "pictures").symlink_to(source / "pictures", target_is_directory=True)
    (made / "cand_pool/pool.jsonl").symlink_to(source / "pool.jsonl")
    assert materialise(made) == 2
    below = {path.relative_to(made).as_posix(): path for path in made.rglob("*")}
    assert not any(path.is_symlink() for path in below.values())
    files = {name: path.read_bytes() for name, path in below.items() if path.is_file()}
    assert files == {
        "own.txt": b"own\n",
        "cand_pool/pool.jsonl": b"{}\n",
        "pictures/again.jsonl": b"{}\n",
        "pictures/below/one.jpg": b"one",
    }
    assert materialise(made) == 0
    assert (source / "pictures/again.jsonl").is_symlink(), "the source is left as it was"


def test_a_link_that_leads_nowhere_is_named(made: Path) -> None:
    (made / "gone").symlink_to(made / "nothing")
    with pytest.raises(DataError, match="leads nowhere") as error:
        materialise(made)
    assert error.value.where == str(made / "gone")


@pytest.mark.parametrize("target", [".", "..", "own circle"])
def test_a_circle_of_links_is_an_error(made: Path, target: str) -> None:
    (made / "own circle").symlink_to(made / target)
    with pytest.raises(DataError, match=r"leads nowhere|lies in"):
        materialise(made)
    assert not list(made.glob("*.partial"))


def test_a_circle_in_what_a_link_leads_to_is_an_error(source: Path, made: Path) -> None:
    (source / "pictures/up").symlink_to(source / "pictures")
    (made / "pictures").symlink_to(source / "pictures")
    with pytest.raises(DataError, match="cannot be read whole"):
        materialise(made)
    assert not list(made.glob(".*.partial"))
    assert (made / "pictures").is_symlink()
