import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from trace_retriever.errors import DataError
from trace_retriever.io.files import (
    atomic_directory,
    digest_bytes,
    digest_file,
    digest_tree,
    read_json,
    write_atomic,
    write_json,
)

FAIL = "the fault of this test"


def run_python(code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, so that it can be killed or limited for real."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_below_new_folders(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a/b/c.txt", "hé")
    assert (tmp_path / "a/b/c.txt").read_bytes() == "hé".encode()
    assert names(tmp_path / "a/b") == ["c.txt"]


def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(tmp_path: Path) -> None:
    """The process is killed by SIGKILL between the write and the rename."""
    target = tmp_path / "a.txt"
    write_atomic(target, "old")
    code = """
        import os, signal, sys
        from pathlib import Path
        from trace_retriever.io.files import write_atomic
        os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
        write_atomic(Path(sys.argv[1]), "new" * 10000)
    """
    assert run_python(code, target).returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    write_atomic(target, "newer")
    assert target.read_text() == "newer"


def test_a_file_too_large_for_the_disk_leaves_the_old_one(tmp_path: Path) -> None:
    """The kernel refuses the write half way (RLIMIT_FSIZE), as a full disk does."""
    target = tmp_path / "a.txt"
    write_atomic(target, "old")
    code = """
        import resource, signal, sys
        from pathlib import Path
        from trace_retriever.io.files import write_atomic
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        try:
            write_atomic(Path(sys.argv[1]), "new" * 10000)
        except OSError as error:
            sys.exit(error.errno)
    """
    import errno

    assert run_python(code, target).returncode == errno.EFBIG
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "out") as new:
        write_atomic(new / "a.txt", "1")
        assert not (tmp_path / "out").exists()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["a.txt"]


def test_a_directory_replaces_the_old_one_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "out/old.txt", "1")
    with atomic_directory(tmp_path / "out") as new:
        write_atomic(new / "new.txt", "2")
    assert names(tmp_path / "out") == ["new.txt"]
    assert names(tmp_path) == ["out"]


def test_a_fault_keeps_the_old_directory(tmp_path: Path) -> None:
    write_atomic(tmp_path / "out/old.txt", "1")
    with pytest.raises(TypeError), atomic_directory(tmp_path / "out") as new:
        write_atomic(new / "new.txt", 2)  # type: ignore[arg-type]
    assert names(tmp_path / "out") == ["old.txt"]
    assert names(tmp_path) == ["out"]


def test_a_kill_keeps_the_old_directory(tmp_path: Path) -> None:
    write_atomic(tmp_path / "out/old.txt", "1")
    code = """
        import os, signal, sys
        from pathlib import Path
        from trace_retriever.io.files import atomic_directory, write_atomic
        with atomic_directory(Path(sys.argv[1])) as new:
            write_atomic(new / "new.txt", "half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_python(code, tmp_path / "out").returncode == -signal.SIGKILL
    assert names(tmp_path / "out") == ["old.txt"]
    assert len(names(tmp_path)) == 2
    with atomic_directory(tmp_path / "out") as new:
        write_atomic(new / "new.txt", "whole")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["new.txt"]


def test_a_directory_that_another_process_is_filling_is_left_alone(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from trace_retriever.io.files import atomic_directory
        with atomic_directory(Path(sys.argv[1])) as new:
            print(new.name, flush=True)
            sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        partial = other.stdout.readline().strip()
        with atomic_directory(tmp_path / "out") as new:
            assert names(tmp_path) == sorted([partial, new.name])
        assert names(tmp_path) == sorted([partial, "out"])
        other.communicate("")
    assert other.returncode == 0
    assert names(tmp_path) == ["out"]


def test_an_old_directory_that_a_kill_left_is_kept_while_it_is_the_only_one(tmp_path: Path) -> None:
    write_atomic(tmp_path / ".out.abc.old/a.txt", "1")
    with pytest.raises(ValueError, match=FAIL), atomic_directory(tmp_path / "out"):
        raise ValueError(FAIL)
    assert names(tmp_path) == [".out.abc.old"]
    for _ in range(2):
        with atomic_directory(tmp_path / "out"):
            pass
    assert names(tmp_path) == ["out"]


def test_equal_values_are_equal_json_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, "é"]})
    write_json(tmp_path / "b.json", {"a": [1.5, "é"], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": [1.5, "é"], "b": 1}


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", [b"{", b"\xff", b""])
def test_a_file_that_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match="not valid JSON") as error:
        read_json(tmp_path / "a.json")
    assert error.value.where == str(tmp_path / "a.json")


def test_digests_name_content() -> None:
    assert digest_bytes(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_tree_is_named_by_names_and_contents(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_atomic(tmp_path / folder / "a/x", "1")
        write_atomic(tmp_path / folder / "b", "2")
    first = digest_tree(tmp_path / "one")
    assert digest_tree(tmp_path / "two") == first
    os.utime(tmp_path / "two/b", (1, 1))
    assert digest_tree(tmp_path / "two") == first
    write_atomic(tmp_path / "two/b", "3")
    assert digest_tree(tmp_path / "two") != first
    (tmp_path / "one/b").rename(tmp_path / "one/c")
    assert digest_tree(tmp_path / "one") != first


def test_a_file_alone_is_named_by_its_content(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", "1")
    assert digest_tree(tmp_path / "a") == digest_file(tmp_path / "a") == digest_bytes(b"1")


@pytest.mark.parametrize("deep", [False, True])
def test_a_linked_file_is_named_by_size_and_time(tmp_path: Path, deep: bool) -> None:
    write_atomic(tmp_path / "far/x", "1")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(tmp_path / "far" / ("" if deep else "x"))
    os.utime(tmp_path / "far/x", (1, 1))
    first = digest_tree(tmp_path / "tree")
    os.utime(tmp_path / "far/x", (2, 2))
    assert digest_tree(tmp_path / "tree") != first


def test_a_tree_reached_through_a_link_above_it_has_the_name_of_its_content(tmp_path: Path) -> None:
    """A checkout that lies below a linked folder is read in full all the same."""
    write_atomic(tmp_path / "real/tree/x", "1")
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    assert digest_tree(tmp_path / "alias/tree") == digest_tree(tmp_path / "real/tree")


def test_a_dangling_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match="link leads nowhere"):
        digest_tree(tmp_path / "tree")
