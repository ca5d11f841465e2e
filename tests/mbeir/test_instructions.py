from pathlib import Path

import pytest

from trace_retriever.errors import DataError
from trace_retriever.mbeir.instructions import HEADER, Instructions, write_instructions
from trace_retriever.mbeir.pairs import Pair

PROMPTS = ("one", "two", "three", "four")
ROW = "text\timage\tmscoco\t9\tone\ttwo"


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(("\t".join(HEADER), *rows)) + "\n")
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    pairs = {Pair("mscoco", 3): PROMPTS, Pair("cirr", 7): PROMPTS[::-1]}
    write_instructions(tmp_path / "i.tsv", pairs)
    read = Instructions.read(tmp_path / "i.tsv")
    assert read.of(Pair("mscoco", 3)) == PROMPTS
    assert read.prompt(Pair("cirr", 7), 0) == "four"
    lines = (tmp_path / "i.tsv").read_text().splitlines()
    assert lines[0].split("\t") == list(HEADER)
    assert lines[1].split("\t") == ["image,text", "image", "cirr", "8", *PROMPTS[::-1]]


def test_a_pair_without_prompts_is_named(tmp_path: Path) -> None:
    read = Instructions.read(table(tmp_path / "i.tsv", ROW))
    with pytest.raises(DataError, match="no instruction for cirr_task7"):
        read.of(Pair("cirr", 7))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("text\timage\tmscoco\t9", "columns separated by tabs"),
        ("text\timage\tmscoco\t9\t \t", "without any prompt"),
        ("sound\timage\tmscoco\t9\tone", "'sound'"),
        ("text\timage\tmscoco\tnine\tone", "'nine'"),
        (ROW, "second row for data set 9, text to image"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: str, problem: str) -> None:
    path = table(tmp_path / "i.tsv", ROW, row)
    with pytest.raises(DataError, match=problem) as error:
        Instructions.read(path)
    assert error.value.where == f"{path}:3"


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    (tmp_path / "i.tsv").write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match="not UTF-8"):
        Instructions.read(tmp_path / "i.tsv")


@pytest.mark.parametrize("prompts", [(), ("a\tb",), ("a\nb",), (" ",)])
def test_a_prompt_that_breaks_the_table_is_refused(tmp_path: Path, prompts: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="prompts of cirr_task7"):
        write_instructions(tmp_path / "i.tsv", {Pair("cirr", 7): prompts})
    assert not (tmp_path / "i.tsv").exists()
