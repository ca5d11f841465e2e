"""Reference queries of a version, and the embeddings that its own model gives them in this process."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.evaluation.samples import PICTURES, Sample, Shown
from trace_retriever.io.jsonl import read_jsonl

SAMPLES = Path("evidence/samples.jsonl")
MOST = 24
# Where a version's evidence has no sample queries: what they say does not matter.
PLAIN = ("Find the picture of a dog.", "The same without the hat.", "Boss of the friend of the goose.")


@dataclass(frozen=True)
class Reference:
    """A query, and what its answer must be.

    Attributes:
        text, image: words, and the bytes of a picture; one of them at least.
        expected: the embedding, float32 [D]; None where any well-formed answer will do.
    """

    text: str | None = None
    image: bytes | None = field(default=None, repr=False)
    expected: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    def body(self) -> dict[str, Any]:
        """The request, in the Open Inference Protocol's JSON."""
        inputs = [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [self.text or ""]}]
        if self.image is not None:
            data = [base64.b64encode(self.image).decode()]
            inputs.append({"name": "image", "shape": [1], "datatype": "BYTES", "data": data})
        return {"inputs": inputs, "parameters": {"reason": "auto"}}


def sample_queries(package: Path) -> list[Reference]:
    """Queries of a version's evidence, spread over its pairs; a few plain ones where it has none.

    Raises:
        DataError: the evidence's samples cannot be read.
    """
    file = package / SAMPLES
    if not file.exists():
        return [Reference(text) for text in PLAIN]
    samples = list(read_jsonl(file, Sample))
    chosen = samples[:: max(1, len(samples) // MOST)][:MOST]
    return [_reference(sample.query, file.parent / PICTURES) for sample in chosen]


def _reference(query: Shown, pictures: Path) -> Reference:
    if query.picture is None:
        return Reference(query.text)
    file = pictures / query.picture
    if not file.is_file():
        raise DataError("a sample query's picture is missing", where=file)
    return Reference(query.text, file.read_bytes())


def with_expected(package: Path, queries: Sequence[Reference]) -> list[Reference]:
    """The queries with the embeddings that the package's model gives them, one at a time.

    Args:
        package: a registered model's directory, verified before.
        queries: text or picture or both.
    """
    from trace_retriever.engine.engine import Engine
    from trace_retriever.io.images import ImageLimits
    from trace_retriever.model.bundle import load_model
    from trace_retriever.serving.queries import Asked

    engine = Engine(load_model(package))
    found = []
    for number, query in enumerate(queries):
        item = Asked(query.text, query.image).item(ImageLimits(), f"reference {number}")
        [encoded] = engine.encode([item], reason="auto")
        vector = np.asarray(encoded.vector("auto"), np.float32)
        found.append(Reference(query.text, query.image, vector))
    return found
