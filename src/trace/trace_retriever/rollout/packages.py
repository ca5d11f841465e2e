"""Packages in the store that servers fetch from: each below the digits of its manifest's digest."""

from pathlib import Path

from trace_retriever.cards.manifest import MANIFEST, verify_registered
from trace_retriever.io.files import digest_bytes, digest_file
from trace_retriever.rollout.errors import RolloutError


def publish(package: Path, manifest: str, target: str) -> int:
    """Copy a verified package into the store; what is there whole is left as it is.

    The manifest is written last: a copy that was cut off has none, and is copied again.

    Args:
        package: the registered model's directory.
        manifest: digest that its manifest must have.
        target: address of its folder there, of any file system that fsspec knows; a path is one too.

    Returns:
        How many files were copied.

    Raises:
        DataError: the package is not what was approved.
        RolloutError: the store cannot be written to, or holds something else under that digest.
    """
    import fsspec

    found = verify_registered(package, manifest)
    try:
        system, folder = fsspec.url_to_fs(target)
        if system.exists(f"{folder}/{MANIFEST}"):
            if digest_bytes(system.cat_file(f"{folder}/{MANIFEST}")) != manifest:
                raise RolloutError("the store holds another manifest under this digest", where=target)
            return 0
        for name in (*sorted(found["files"]), MANIFEST):
            system.makedirs(f"{folder}/{name}".rpartition("/")[0], exist_ok=True)
            system.put_file(str(package / name), f"{folder}/{name}")
    except RolloutError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise RolloutError(
            f"the store cannot be used: {type(error).__name__}: {error}",
            where=target,
            remedy="check the address, the credentials and the network",
        ) from error
    assert digest_file(package / MANIFEST) == manifest
    return len(found["files"]) + 1
