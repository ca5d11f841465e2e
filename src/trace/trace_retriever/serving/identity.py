"""Which model is served: its name, version and digests, checked before a weight is read."""

from dataclasses import dataclass
from pathlib import Path

from trace_retriever.cards.manifest import EVIDENCE, MANIFEST, verify_registered
from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_file, digest_tree, read_json


@dataclass(frozen=True)
class Identity:
    """A served model.

    Attributes:
        version: of the registered model; "unregistered" for a model directory as training left it.
        manifest: digest of the manifest; of the whole directory where there is none.
        models: digests by which embeddings and indices may name it: the directory as it is here, and as it
            was when it was evaluated (registration adds files and the route).
    """

    version: str
    manifest: str
    models: frozenset[str]


def identify(directory: Path, expected: str | None = None) -> Identity:
    """Verify a model directory and say what it is.

    Args:
        directory: a registered model, or one as `trace train` left it.
        expected: the digest that the manifest must have.

    Raises:
        DataError: a file is missing, added or altered; the manifest has another digest, or there is none and
            one was expected.
    """
    own = digest_tree(directory)
    if not (directory / MANIFEST).is_file():
        if expected is not None:
            raise DataError(
                "no manifest here", where=directory, remedy="serve a registered model, or no --manifest"
            )
        return Identity("unregistered", own, frozenset({own}))
    manifest = verify_registered(directory, expected)
    results = read_json(directory / EVIDENCE / "results.json")
    evaluated = results.get("embeddings", {}).get("trace", {}).get("model")
    models = {own, *([evaluated] if isinstance(evaluated, str) else [])}
    return Identity(str(manifest["version"]), digest_file(directory / MANIFEST), frozenset(models))
