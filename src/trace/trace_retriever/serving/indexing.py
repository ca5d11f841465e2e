"""An index over what `trace embed` wrote, pinned to the digests that `trace serve` compares."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_file
from trace_retriever.search.building import Demand, build
from trace_retriever.search.serving import Kind, ServingManifest
from trace_retriever.serving.retrieve import served_digest
from trace_retriever.store.embeddings import Embeddings
from trace_retriever.store.shards import MANIFEST

MOST_QUERIES = 4000


def build_index(
    embeddings: Path, out: Path, *, kind: Kind, split: str = "val", demand: Demand | None = None
) -> tuple[ServingManifest, str]:
    """Build an index over all candidates of an embeddings directory and put it in place, whole.

    Args:
        embeddings: what `trace embed` wrote; each file is compared with its digest first.
        out: directory of the index; an older one is replaced.
        kind: see `search.building.build`.
        split: whose queries it is tuned and measured with; their direct and reasoned vectors both count.
        demand: what it must reach.

    Returns:
        Its manifest, and the digest by which a server names these candidates with this index.

    Raises:
        Refused: it finds too little of what the exact search finds; the old index stays.
        DataError: the embeddings are not whole, hold no two queries of that split, or an output would take
            the place of the embeddings.
    """
    if embeddings.resolve().is_relative_to(out.resolve()):
        raise DataError(
            "the index would take the place of the embeddings", where=out, remedy="name another --out"
        )
    found = Embeddings.load(embeddings)
    found.verify()
    model = found.about.get("model")
    if not isinstance(model, str):
        raise DataError(
            "the embeddings do not name their model", where=embeddings, remedy="run `trace embed`"
        )
    candidates = digest_file(embeddings / "candidates" / MANIFEST)
    built = build(
        found.candidates,
        _queries(found, split),
        kind=kind,
        model=model,
        embeddings=candidates,
        demand=demand,
    )
    return built.save(out), served_digest(candidates, out)


def _queries(found: Embeddings, split: str) -> NDArray[Any]:
    """The vectors of a split's queries, float32 [Q, D], each once; at most `MOST_QUERIES`, spread evenly."""
    table = found.query_table
    rows = table.loc[table["split"] == split, "row"].to_numpy()
    if len(rows) < 2:
        there = ", ".join(sorted(set(table["split"]))) or "none"
        raise DataError(
            f"{len(rows)} queries of split {split!r}; 2 are needed, and some hundreds tell more",
            where=found.directory,
            remedy=f"splits that were embedded: {there}; name one with --split",
        )
    places = np.linspace(0, len(rows) - 1, min(len(rows), MOST_QUERIES // 2)).astype(np.int64)
    vectors = found.queries[rows[places]].astype(np.float32).reshape(2 * len(places), -1)
    return np.unique(vectors[np.isfinite(vectors).all(1) & vectors.any(1)], axis=0)
