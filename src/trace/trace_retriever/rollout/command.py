"""What serves a version on this machine: `trace serve` of the package and the index that were approved."""

import sys
from collections.abc import Sequence
from pathlib import Path

from trace_retriever.io.files import digest_file, digest_tree
from trace_retriever.registry.types import Version
from trace_retriever.rollout.errors import RolloutError
from trace_retriever.rollout.processes import free_port
from trace_retriever.store.shards import MANIFEST

MODEL = "trace-retriever"


def serve_command(version: Version, port: int, options: Sequence[str] = ()) -> list[str]:
    """`trace serve` of a version's package and index, which must have the digests that were approved.

    Raises:
        RolloutError: one of them is not on this machine, or the index is another by now.
    """
    ports = ["--http-port", str(port), "--grpc-port", str(free_port())]
    digest = ["--manifest", version.digests["manifest"]]
    trace = [str(Path(sys.executable).with_name("trace")), "serve", "--model", str(directory_of(version))]
    return [*trace, *digest, *index_options(version), "--name", MODEL, *ports, *options]


def index_options(version: Version) -> list[str]:
    """The index that was registered with a version, pinned; nothing for a version without one.

    Raises:
        RolloutError: it is not on this machine, or not what was registered.
    """
    if version.index is None:
        return []
    index = Path(version.index)
    if not index.is_dir():
        raise RolloutError(f"the index of {version.label} is not on this machine", where=index)
    if digest_tree(index) != version.digests["index"]:
        raise RolloutError(
            f"the index of {version.label} is not the one that was registered",
            where=index,
            remedy="embed the candidates again with that version's model",
        )
    return ["--embeddings", str(index), "--index-digest", digest_file(index / "candidates" / MANIFEST)]


def directory_of(version: Version) -> Path:
    """Where a version's package lies.

    Raises:
        RolloutError: not on this machine.
    """
    if version.directory is None:
        raise RolloutError(f"{version.label} is not on this machine", where=version.package)
    return version.directory
