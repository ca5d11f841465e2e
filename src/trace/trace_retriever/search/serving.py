"""An index for serving: FAISS names candidates, the stored vectors decide.

What FAISS keeps may be coarse (a bit a dimension); its candidates are scored again from the vectors that
`embed` stored, so that a score equals the exact search's. A saved index names the model, the embeddings and
itself by digest.

FAISS numbers its entries in the order in which they came. `rows[entry]` is the entry's row in the embeddings,
or -1 once the candidate is gone: so an index can follow embeddings to which candidates were added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trace_retriever.errors import DataError
from trace_retriever.io.files import atomic_directory, digest_bytes, read_json, write_atomic, write_json
from trace_retriever.io.jsonl import describe
from trace_retriever.search.best import EMPTY, pack, unpack
from trace_retriever.search.exact import SCORED, Found, true_scores
from trace_retriever.store.matrix import Matrix

Kind = Literal["flat", "ivf-rabitq", "ivf-pq"]
DIGEST = r"^sha256:[0-9a-f]{64}$"
INDEX, ROWS, MANIFEST = "index.faiss", "rows.bin", "manifest.json"
REMEDY = "build the index again from these embeddings"


class ServingManifest(BaseModel):
    """`manifest.json` of a saved index.

    Attributes:
        model, embeddings: digests of what the vectors came from and of the vectors.
        files: name → digest.
        entries: what FAISS holds; `gone` of them are no candidates any more.
        trained: candidates that the index was trained on.
        probes: lists that are searched; 1 for `flat`.
        width: candidates that are scored again.
        recall: share of the exact best `recall_k` that is found, on `recall_queries` that were not tuned on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    kind: Kind
    dim: int = Field(ge=1, le=65_536)
    entries: int = Field(ge=1)
    gone: int = Field(ge=0)
    trained: int = Field(ge=0)
    lists: int = Field(ge=1)
    probes: int = Field(ge=1)
    width: int = Field(ge=1)
    recall: float = Field(ge=0, le=1)
    recall_k: int = Field(ge=1)
    recall_queries: int = Field(ge=1)
    model: str = Field(pattern=DIGEST)
    embeddings: str = Field(pattern=DIGEST)
    files: Mapping[str, str] = Field(default_factory=dict)
    bytes: int = Field(ge=0, default=0)
    faiss: str


@dataclass(frozen=True)
class ServingIndex:
    """An index with the vectors that it points into.

    Attributes:
        faiss_index: what FAISS built.
        rows: int64 [entries], each entry's row of `matrix`; -1 where the candidate is gone.
        matrix: the stored vectors.
        manifest: what is known of the index.
    """

    faiss_index: Any = field(repr=False)
    rows: NDArray[np.int64] = field(repr=False)
    matrix: Matrix = field(repr=False)
    manifest: ServingManifest

    def __len__(self) -> int:
        return self.manifest.entries - self.manifest.gone

    def search(
        self, queries: NDArray[Any], k: int, *, probes: int | None = None, width: int | None = None
    ) -> Found:
        """The k candidates with the largest inner product among those that FAISS names.

        Args:
            queries: float32 or float16 [Q, D].
            k: results a query.
            probes, width: in place of the manifest's.

        Returns:
            Rows and scores [Q, min(k, N)]; row -1 and score -inf where FAISS named too few.
        """
        k, width = min(k, len(self)), max(k, width or self.manifest.width)
        wide = min(width + self.manifest.gone, self.manifest.entries)
        asked = np.ascontiguousarray(queries, np.float32)
        set_probes(self.faiss_index, probes or self.manifest.probes)
        entries = self.faiss_index.search(asked, wide)[1]
        rows = np.where(entries >= 0, self.rows[entries], -1)
        keys = np.full(rows.shape, EMPTY)
        asker, place = np.nonzero(rows >= 0)
        step = max(1, SCORED // self.manifest.dim)
        for at in range(0, len(asker), step):
            query, number = asker[at : at + step], place[at : at + step]
            named = rows[query, number]
            unique, inverse = np.unique(named, return_inverse=True)
            keys[query, number] = pack(true_scores(self.matrix[unique][inverse], asked[query]), named)
        keys.sort(axis=1)
        scores, found = unpack(keys[:, :k])
        return Found(np.where(np.isneginf(scores), -1, found), scores)

    def save(self, directory: Path) -> ServingManifest:
        """Write the index, its rows and the manifest; the directory is replaced whole.

        Returns:
            The manifest as written, with the digests of the files.
        """
        import faiss

        content = {
            INDEX: faiss.serialize_index(self.faiss_index).tobytes(),
            ROWS: self.rows.astype("<i8").tobytes(),
        }
        files = {name: digest_bytes(data) for name, data in content.items()}
        manifest = self.manifest.model_copy(update={"files": files, "bytes": len(content[INDEX])})
        with atomic_directory(directory) as partial:
            for name, data in content.items():
                write_atomic(partial / name, data)
            write_json(partial / MANIFEST, manifest.model_dump(mode="json"))
        return manifest

    @classmethod
    def load(cls, directory: Path, matrix: Matrix, *, model: str, embeddings: str) -> "ServingIndex":
        """Open a saved index beside the vectors and the model that it was built for.

        Nothing is handed to FAISS's reader before its digest is that of the manifest, and the manifest is
        only as good as its source: pin its own digest where the index is deployed.

        Args:
            directory: what `save` wrote.
            matrix: the stored vectors.
            model, embeddings: digests of what is in use here.

        Raises:
            DataError: a file is missing or altered, or the index belongs to another model or other vectors.
        """
        manifest = read_manifest(directory)
        for name, here in (("model", model), ("embeddings", embeddings)):
            if (there := getattr(manifest, name)) != here:
                problem = f"the index was built for another {name}: {there}, here {here}"
                raise DataError(problem, where=directory, remedy=REMEDY)
        if matrix.shape[1] != manifest.dim:
            raise DataError(
                f"an index of {manifest.dim} dimensions, vectors of {matrix.shape[1]}", where=directory
            )
        rows = np.frombuffer(_verified(directory, ROWS, manifest, 8 * manifest.entries), "<i8").astype(
            np.int64
        )
        index = _deserialised(_verified(directory, INDEX, manifest, manifest.bytes), directory)
        right = (index.d, index.ntotal) == (manifest.dim, manifest.entries) and len(rows) == manifest.entries
        if not right or rows.max() >= matrix.shape[0] or int((rows < 0).sum()) != manifest.gone:
            raise DataError("the index is not what its manifest says", where=directory, remedy=REMEDY)
        return cls(index, rows, matrix, manifest)


def read_manifest(directory: Path) -> ServingManifest:
    """The manifest of a saved index.

    Raises:
        DataError: it is missing or breaks its schema.
    """
    try:
        return ServingManifest.model_validate(read_json(directory / MANIFEST))
    except ValidationError as error:
        raise DataError(describe(error), where=directory / MANIFEST, remedy=REMEDY) from None


def set_probes(index: Any, probes: int) -> None:
    """How many lists are searched, where there are lists."""
    import faiss

    lists = faiss.try_extract_index_ivf(index)
    if lists is not None:
        lists.nprobe = min(probes, lists.nlist)


def _verified(directory: Path, name: str, manifest: ServingManifest, size: int) -> bytes:
    """A file's bytes, read once: what is checked is what is used."""
    path = directory / name
    try:
        if path.stat().st_size != size:
            raise DataError(f"{path.stat().st_size} bytes; {size} were written", where=path, remedy=REMEDY)
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError("file not found", where=path, remedy=REMEDY) from None
    if digest_bytes(content) != manifest.files.get(name):
        raise DataError("the file was altered after it was written", where=path, remedy=REMEDY)
    return content


def _deserialised(content: bytes, directory: Path) -> Any:
    import faiss

    try:
        return faiss.deserialize_index(np.frombuffer(content, np.uint8))
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"FAISS cannot read the index: {first}", where=directory / INDEX, remedy=REMEDY
        ) from None
