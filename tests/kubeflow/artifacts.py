"""Artifacts as KFP hands them to a component, without KFP."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Held:
    """An artifact; `uri` is where it is kept, `path` where the task sees it."""

    path: str
    uri: str
    metadata: dict[str, Any] = field(default_factory=dict)


def here(path: Path) -> Held:
    return Held(str(path), str(path))


def outputs(folder: Path, kept: str = "") -> Mapping[str, Held]:
    """A step's four outputs below a folder, kept below an address or where they are."""
    return {
        name: Held(str(folder / name), f"{kept}/{name}" if kept else str(folder / name))
        for name in ("out", "report", "metrics", "page")
    }


def carried(artifact: Held, to: Path) -> Held:
    """The artifact after a way through an object store: it knows files, no links, and no empty folders."""
    source = Path(artifact.path)
    for file in sorted(source.rglob("*")):
        if file.is_file() and not file.is_symlink():
            target = to / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    return Held(str(to), artifact.uri, dict(artifact.metadata))
