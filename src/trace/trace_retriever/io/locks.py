"""Locks between processes that the kernel frees when a process ends, however it ends."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def claim(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock file (made if absent) while the block runs.

    Args:
        path: the file; it stays, so that all who ask meet at the same one.
        wait: until another process lets go of it.

    Yields:
        Whether the lock is held: always true with `wait`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield _lock(descriptor, fcntl.LOCK_EX, wait=wait)
    finally:
        os.close(descriptor)


@contextmanager
def shared_directory(path: Path) -> Iterator[Path]:
    """A directory for all processes that enter with its path: made by the first, removed by the last.

    It is removed only where the block ends without an error; it stays after a kill.
    """
    descriptor = _enter(path)
    try:
        yield path
        if _lock(descriptor, fcntl.LOCK_EX, wait=False):  # nobody else is in it
            leaving = path.with_name(f".{path.name}.{uuid.uuid4().hex}.old")
            path.rename(leaving)
            shutil.rmtree(leaving, ignore_errors=True)
    finally:
        os.close(descriptor)


def _enter(path: Path) -> int:
    """Share the directory's lock, and make sure that it was not removed before the lock was there."""
    while True:
        try:
            path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # removed after it was made
            continue
        except FileExistsError:  # there when it was to be made, and gone when it was looked at
            if path.exists() and not path.is_dir():
                raise
            continue
        _lock(descriptor, fcntl.LOCK_SH, wait=True)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)


def _lock(descriptor: int, kind: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
