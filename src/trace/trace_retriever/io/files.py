"""Files that are either whole or absent, and digests that name their content."""

import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trace_retriever.errors import DataError


def write_atomic(path: Path, content: str | bytes | Iterable[bytes]) -> None:
    """Write a file so that a reader, or a kill at any moment, sees the old file or the new one whole.

    Parts of a content that does not fit in memory are written as they come.
    """
    parts = [content.encode()] if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("wb") as stream:
            stream.writelines([parts] if isinstance(parts, bytes) else parts)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:  # a full disk does not say which file it met
        error.filename = error.filename or str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, keys sorted and two spaces deep, so that equal values are equal bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomic(path, f"{text}\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing or is not JSON; names the line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("file not found", where=path) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        remedy = "restore or rewrite the file"
        raise DataError(f"not valid JSON: {error}", where=path, remedy=remedy) from None


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty directory that takes the place of `path` when the block ends without an error.

    On an error `path` keeps its old content and the new directory is removed. After a kill it stays behind,
    hidden and unlocked, until the next call for the same `path` removes it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    partial.mkdir()
    try:
        with _locked(partial):
            yield partial
            replace_directory(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_abandoned(path: Path) -> None:
    """Remove what killed processes left beside `path`; those alive hold a lock on theirs."""
    for partial in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(OSError), _locked(partial):
            shutil.rmtree(partial)
    if path.exists():  # else the old one is all there is
        for old in path.parent.glob(f".{glob.escape(path.name)}.*.old"):
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a directory's lock, which the kernel frees when the process ends; OSError if another holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def replace_directory(new: Path, path: Path) -> None:
    """Move the directory `new` to `path` (on the same file system), replacing what is there.

    Of several processes that do so at one time, each replaces what the one before has put there.
    """
    while True:
        old = path.with_name(f".{path.name}.{uuid.uuid4().hex}.old")
        with suppress(FileNotFoundError):
            path.rename(old)
        try:
            new.rename(path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        finally:
            if path.exists():  # else the old one is all there is
                shutil.rmtree(old, ignore_errors=True)


def digest_bytes(content: bytes) -> str:
    """SHA-256 of some bytes, as `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's content, as `sha256:<hex>`."""
    with path.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()


def digest_tree(path: Path, *, skip: Container[str] = ()) -> str:
    """SHA-256 over the sorted relative names and content digests of a file or directory.

    A file reached through a symbolic link at or below `path` counts by its name, size and modification time,
    so that a linked data set of a terabyte is named in seconds.

    Args:
        path: the file or directory.
        skip: relative names that do not count.

    Raises:
        DataError: a link that leads nowhere.
    """
    if path.is_file():
        return digest_file(path)
    tree = hashlib.sha256()
    for name, file in _files_below(path):
        if name not in skip:
            tree.update(f"{name}\0{_file_identity(path, file)}\n".encode())
    return "sha256:" + tree.hexdigest()


def _files_below(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, names in os.walk(root, followlinks=True):
        folders.sort()
        for name in sorted(names):
            file = Path(folder) / name
            yield file.relative_to(root).as_posix(), file


def _file_identity(root: Path, file: Path) -> str:
    """By content; by size and time where a link leads to it. Links above the root do not count."""
    folders = (root, *(root / part for part in file.relative_to(root).parents))
    if not (file.is_symlink() or any(folder.is_symlink() for folder in folders)):
        return digest_file(file)
    try:
        status = file.stat()
    except FileNotFoundError:
        raise DataError("link leads nowhere", where=file, remedy="restore its target or remove it") from None
    return f"{status.st_size}:{status.st_mtime_ns}"
