import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from trace_retriever.errors import DataError
from trace_retriever.io.jsonl import MAX_LINE_BYTES, JsonlLog, read_jsonl, read_numbered, write_jsonl


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    count: int = 0


def test_rows_come_back(tmp_path: Path) -> None:
    rows = [Row(name="é\n", count=1), Row(name="b")]
    assert write_jsonl(tmp_path / "a.jsonl", rows) == 2
    assert list(read_jsonl(tmp_path / "a.jsonl", Row)) == rows


def test_blank_lines_are_passed_over_but_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('\n{"name": "a"}\n\n{"name": "b"}')
    assert [number for number, _ in read_numbered(tmp_path / "a.jsonl", Row)] == [2, 4]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "Invalid JSON"),
        ("[]", "record"),
        ('{"name": 3}', r"name: .* \(got 3\)"),
        ('{"name": "a", "extra": 1}', "extra"),
        ("{}", "name: Field required"),
        ('{"name": "a", "count": "many"}', r"count: .*'many'"),
    ],
)
def test_a_bad_line_is_named_with_key_and_value(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"name": "a"}}\n{line}\n')
    with pytest.raises(DataError, match=problem) as error:
        list(read_jsonl(path, Row))
    assert error.value.where == f"{path}:2"
    assert error.value.remedy


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"name": "\xff"}\n')
    with pytest.raises(DataError) as error:
        list(read_jsonl(tmp_path / "a.jsonl", Row))
    assert str(error.value.where).endswith("a.jsonl:1")


def test_an_endless_line_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b" " * (MAX_LINE_BYTES + 1))
    with pytest.raises(DataError, match="line longer than"):
        list(read_jsonl(tmp_path / "a.jsonl", Row))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="file not found"):
        list(read_jsonl(tmp_path / "a.jsonl", Row))


def test_a_fault_while_rows_are_made_leaves_the_old_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [Row(name="old")])
    with pytest.raises(ZeroDivisionError):
        write_jsonl(tmp_path / "a.jsonl", (Row(name=str(1 // n)) for n in (1, 0)))
    assert [row.name for row in read_jsonl(tmp_path / "a.jsonl", Row)] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_log_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with JsonlLog(tmp_path / "work/log.jsonl") as log:
            log.append(Row(name=name))
    with JsonlLog(tmp_path / "work/log.jsonl") as log:
        assert [row.name for row in log.read(Row)] == ["a", "b"]


@pytest.mark.parametrize("partial", ['{"name": "c', "{", '{"name": "c"}'])
def test_a_partial_last_line_of_a_log_is_cut(tmp_path: Path, partial: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f'{{"name": "a"}}\n{partial}')
    with JsonlLog(path) as log:
        assert [row.name for row in log.read(Row)] == ["a"]
        log.append(Row(name="b"))
        assert [row.name for row in log.read(Row)] == ["a", "b"]


def test_a_log_that_holds_only_a_partial_line_is_empty(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"na')
    with JsonlLog(tmp_path / "log.jsonl") as log:
        assert log.read(Row) == []


def test_what_was_appended_before_a_kill_is_there(tmp_path: Path) -> None:
    code = """
        import os, signal, sys
        from pathlib import Path
        from trace_retriever.io.jsonl import JsonlLog
        from trace_retriever.mbeir.records import Truth
        log = JsonlLog(Path(sys.argv[1]))
        for number in range(5):
            log.append(Truth(qid=f"1:{number}", pair="mojihop_task1", route="simple"))
        log._stream.write(b'{"qid": "1:5", "pa')
        log._stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "log.jsonl")]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    from trace_retriever.mbeir.records import Truth

    with JsonlLog(tmp_path / "log.jsonl") as log:
        assert [truth.qid for truth in log.read(Truth)] == [f"1:{number}" for number in range(5)]
