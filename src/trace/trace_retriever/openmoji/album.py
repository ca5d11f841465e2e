"""The painted pictures of a data set: each scene painted once for queries and once for candidates."""

import io
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from trace_retriever.openmoji.pictures import paint
from trace_retriever.openmoji.scenes import Scene, Split
from trace_retriever.openmoji.world import World

Side = Literal["query", "candidate"]
FOLDER = "mbeir_images/openmoji"
QUALITY = 85


@dataclass
class Album:
    """Paints scenes on demand below a data set's root.

    How a picture comes out depends only on the seed, the scene, the split and the side it is for; so the same
    scene is one file however many records show it, and a query never shows the very picture that it has to
    find.
    """

    world: World
    root: Path
    _names: dict[tuple[str, Split, Side], str] = field(default_factory=dict)

    def picture(self, scene: Scene, split: Split, side: Side) -> str:
        """The path of a scene's picture, relative to the root; painted when first asked for."""
        key = (scene.caption, split, side)
        if key not in self._names:
            name = f"{FOLDER}/{split}/{side}-{len(self._names):05d}.jpg"
            self._paint(scene, f"{split} {side}", self.root / name)
            self._names[key] = name
        return self._names[key]

    def _paint(self, scene: Scene, use: str, path: Path) -> None:
        rng = np.random.default_rng([self.world.seed, zlib.crc32(f"{use} {scene.caption}".encode())])
        buffer = io.BytesIO()
        picture = paint(scene, self.world.glyphs, self.world.picture_pixels, rng)
        picture.save(buffer, "JPEG", quality=QUALITY)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())  # the step's whole output directory is put in place at once

    def scenes(self, split: Split) -> set[str]:
        """Captions of the scenes that a split shows, to its queries or among its candidates."""
        return {caption for caption, shown, _ in self._names if shown == split}

    def __len__(self) -> int:
        return len(self._names)
