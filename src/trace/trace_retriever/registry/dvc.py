"""A version by the name that DVC gives its bytes: what the pipelines fetch a registered model by."""

import hashlib
import json
from pathlib import Path

from trace_retriever.registry.errors import Conflict, NotFound
from trace_retriever.registry.packages import need_same_bytes
from trace_retriever.registry.registry import Registry


def md5_of_version(registry: Registry, name: str, version: str | None = None) -> str:
    """The md5 of a version's package, as `dvc.lock` and a DVC remote have it; `….dir`.

    It is worked out from the registry's own copy, after that was held against the approved digest: so it
    names what was approved, whatever lies in `models/registered` by now.

    Args:
        registry: open.
        name: of the model.
        version: which; None is the one in production.

    Raises:
        NotFound: no such version, or none is in production.
        Conflict: the registry holds no copy of it, or one that is not as it was registered.
    """
    found = registry.version(name, version) if version else registry.champion(name)
    if found is None:
        raise NotFound(
            f"no version of {name} is in production", remedy=f"name one: trace registry md5 {name} VERSION"
        )
    if found.directory is None or not need_same_bytes(found):
        raise Conflict(
            f"the bytes of {found.label} lie elsewhere, the registry cannot name them for DVC",
            where=found.package,
            remedy="take `dvc` from the report of the run that made it, of task `register`",
        )
    return dvc_md5(found.directory)


def dvc_md5(directory: Path) -> str:
    """The md5 that DVC gives a directory: that of the list of its files' md5s, in DVC's own form."""
    files = sorted(
        (path.relative_to(directory).as_posix(), path) for path in directory.rglob("*") if path.is_file()
    )
    listed = [{"md5": _md5(path), "relpath": name} for name, path in files]
    return f"{_new(json.dumps(listed, sort_keys=True).encode()).hexdigest()}.dir"


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, _new).hexdigest()


def _new(content: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(content, usedforsecurity=False)
