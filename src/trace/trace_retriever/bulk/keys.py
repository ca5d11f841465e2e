"""What an embedding depends on, as one digest: equal keys, equal embeddings, wherever they were made."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trace_retriever.io.files import digest_tree
from trace_retriever.model.items import Item
from trace_retriever.model.pictures import PictureReader
from trace_retriever.model.settings import FILE, Settings

LENGTH = 32  # hex digits of SHA-256 that are kept: 128 bits


@dataclass(frozen=True)
class Keys:
    """Keys of the items that one model encodes in one way.

    Attributes:
        way: the digest of all that is the same for every item.
        pictures: identifies pictures by their content.
        workers: threads that read pictures.
    """

    way: str
    pictures: PictureReader
    workers: int

    def of(self, items: Sequence[Item]) -> list[str]:
        """The key of each item: of its words and its picture's content, not of its id or path.

        Raises:
            ImageError: a picture is missing, too large or no picture.
        """
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(self._key, items))

    def _key(self, item: Item) -> str:
        picture = None if item.image is None else self.pictures.identify(item.image).digest
        content = json.dumps([self.way, item.text, picture])
        return hashlib.sha256(content.encode()).hexdigest()[:LENGTH]


def way(kind: Literal["candidate", "query"], model: Path, **settings: Any) -> str:
    """A digest of what decides an embedding beside the item.

    The model counts by its files; of `trace.json`, which also says how traces end and routes are taken,
    candidates count only what a prompt's vector depends on.

    Args:
        kind: candidates are never given a trace, so that settings of reasoning are not theirs.
        model: the model directory.
        settings: whatever else counts, such as number types and, for queries, the mode.
    """
    own = Settings.load(model).deployed()
    if kind == "candidate":
        own = {name: own[name] for name in ("max_prompt_tokens", "min_pixels", "max_pixels")}
    parts = {"kind": kind, "model": digest_tree(model, skip=(FILE,)), "own": own, "settings": settings}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
