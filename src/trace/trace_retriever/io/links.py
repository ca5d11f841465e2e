"""Outputs without symbolic links, for those that are carried to where a link's target is not."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from trace_retriever.errors import DataError


def link_or_copy(source: str, target: str) -> None:
    """Have a file's content at a second place; one file system keeps one copy of it."""
    try:
        os.link(os.path.realpath(source), target)  # `link` itself would make a second link of a link
    except OSError:  # another file system, or a file that the kernel lets only its owner link
        shutil.copyfile(source, target)


def materialise(folder: Path) -> int:
    """Put what it leads to in the place of each symbolic link below a folder.

    Files that the target holds as links are followed too, so that nothing below the folder leads out of it.

    Returns:
        How many links there were.

    Raises:
        DataError: a link that leads nowhere, or in a circle.
    """
    links = list(_links(folder))
    for link in links:
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):
            raise DataError(
                "link leads nowhere", where=link, remedy="restore its target or remove it"
            ) from None
        if folder.resolve().is_relative_to(target):
            raise DataError("link leads to a folder that it lies in", where=link, remedy="remove it")
        _replace(link, target)
    return len(links)


def _links(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        yield from (path for name in sorted(folders + names) if (path := Path(place, name)).is_symlink())


def _replace(link: Path, target: Path) -> None:
    new = link.with_name(f".{link.name}.{uuid.uuid4().hex}.partial")
    try:
        if target.is_dir():
            shutil.copytree(target, new, copy_function=link_or_copy)
        else:
            link_or_copy(str(target), str(new))
        link.unlink()
        new.rename(link)
    except (shutil.Error, RecursionError) as error:
        raise DataError(f"what the link leads to cannot be read whole: {error}", where=link) from None
    finally:
        if new.is_dir():
            shutil.rmtree(new)
        else:
            new.unlink(missing_ok=True)
