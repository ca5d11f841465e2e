"""Pictures as the vision tower's patches: scaled, normalised, cut; kept in a bounded cache."""

import math
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from trace_retriever.errors import CheckpointError, ImageError
from trace_retriever.io.files import digest_bytes
from trace_retriever.io.images import ImageLimits, decode_image, image_size

CACHE_BYTES = 512 << 20
CONFIG = "preprocessor_config.json"


@dataclass(frozen=True, kw_only=True)
class PatchSpec:
    """How the vision tower cuts pictures; read from `preprocessor_config.json`."""

    patch_size: int
    merge_size: int
    temporal_patch_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    min_pixels: int
    max_pixels: int

    @classmethod
    def from_processor(cls, processor: dict[str, Any], min_pixels: int, max_pixels: int) -> "PatchSpec":
        """Read the fields from an image processor's configuration.

        Raises:
            CheckpointError: a field is missing.
        """
        try:
            return cls(
                patch_size=processor["patch_size"],
                merge_size=processor["merge_size"],
                temporal_patch_size=processor["temporal_patch_size"],
                mean=tuple(processor["image_mean"]),
                std=tuple(processor["image_std"]),
                min_pixels=min_pixels,
                max_pixels=max_pixels,
            )
        except KeyError as error:
            raise CheckpointError(
                f"the image processor's configuration lacks {error}", where=CONFIG
            ) from None

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after scaling: multiples of patch x merge, within the pixel bounds (Qwen2-VL).

        Raises:
            ImageError: one side is more than 200 times the other.
        """
        if max(width, height) > 200 * min(width, height):
            raise ImageError(
                f"picture of {width} x {height}: its sides differ more than 200 times",
                remedy="crop it or drop the record",
            )
        unit = self.patch_size * self.merge_size
        wide, high = round(width / unit) * unit, round(height / unit) * unit
        if wide * high > self.max_pixels:
            shrink = math.sqrt(width * height / self.max_pixels)
            wide, high = (max(unit, math.floor(side / shrink / unit) * unit) for side in (width, height))
        elif wide * high < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (width * height))
            wide, high = (math.ceil(side * grow / unit) * unit for side in (width, height))
        return wide, high

    def tokens(self, grid: tuple[int, int]) -> int:
        """How many tokens a picture of a patch grid (high, wide) takes in the language model."""
        return grid[0] * grid[1] // self.merge_size**2


def patchify(pixels_NHWC: NDArray[np.uint8], spec: PatchSpec) -> torch.Tensor:
    """Cut pictures of one size into normalised patches, in the order that Qwen's vision towers expect.

    Equal to transformers' `Qwen2VLImageProcessorPil` (a test says so), but for a whole batch at once.

    Args:
        pixels_NHWC: uint8 pictures [N, H, W, 3]; H and W are multiples of patch x merge.

    Returns:
        float32 [N, patches, 3 * temporal * patch * patch].
    """
    count, high, wide, channels = pixels_NHWC.shape
    size, merge = spec.patch_size, spec.merge_size
    mean, std = np.asarray(spec.mean, np.float32), np.asarray(spec.std, np.float32)
    scaled = (pixels_NHWC.astype(np.float32) / np.float32(255) - mean) / std
    cells = scaled.reshape(
        count, high // size // merge, merge, size, wide // size // merge, merge, size, channels
    )
    # To: picture, cell row, cell column, patch row, patch column, channel, y, x.
    cells = cells.transpose(0, 1, 4, 2, 5, 7, 3, 6)
    cells = np.repeat(cells[:, :, :, :, :, :, None], spec.temporal_patch_size, axis=6)
    return torch.from_numpy(np.ascontiguousarray(cells).reshape(count, high * wide // size**2, -1))


@dataclass(frozen=True, slots=True)
class Patches:
    """One picture for the vision tower: float32 patches [P, D] and its grid (high, wide) in patches."""

    values: torch.Tensor
    grid: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Identity:
    """Which picture it is, and how it will be cut: digest of its content, grid (high, wide) in patches."""

    digest: str
    grid: tuple[int, int]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Have an error name the file."""
    try:
        yield
    except ImageError as error:
        raise ImageError(error.problem, where=path, remedy=error.remedy) from None


class PictureReader:
    """Reads pictures as patches, remembering the latest ones up to a bound on memory.

    Args:
        spec: how to scale and cut.
        limits: bounds on what is decoded at all.
        cache_bytes: how much memory the cache may hold.
    """

    def __init__(
        self, spec: PatchSpec, limits: ImageLimits | None = None, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.spec = spec
        self.limits = limits or ImageLimits()
        self._cache: OrderedDict[Path, Patches] = OrderedDict()
        self._free = cache_bytes

    def read(self, image: Path | Image.Image, *, remember: bool = True) -> Patches:
        """Patches of a picture, from the cache when it was read before.

        Args:
            image: a file, or a picture in memory.
            remember: whether the cache keeps it; threads that read side by side must not ask for that.

        Raises:
            ImageError: it is missing, cannot be read or decoded, is too large, or is extremely long.
        """
        if isinstance(image, Image.Image):
            return self._cut(image)
        if image in self._cache:
            self._cache.move_to_end(image)
            return self._cache[image]
        opened = decode_image(self._content(image), self.limits, where=str(image))
        with _naming(image):
            patches = self._cut(opened)
        if remember:
            self._remember(image, patches)
        return patches

    def identify(self, image: Path | Image.Image) -> Identity:
        """A picture's digest and grid; its pixels are not decoded.

        Raises:
            ImageError: as `read`, except for what only decoding shows.
        """
        if isinstance(image, Image.Image):
            pixels = image.convert("RGB")
            return Identity(
                digest_bytes(repr(pixels.size).encode() + pixels.tobytes()), self.grid(image.size)
            )
        content = self._content(image)
        with _naming(image):
            size = image_size(content, self.limits, where=str(image))
            return Identity(digest_bytes(content), self.grid(size))

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Grid (high, wide), in patches, of a picture of a size (wide, high) in pixels."""
        wide, high = self.spec.size(*size)
        return high // self.spec.patch_size, wide // self.spec.patch_size

    def _content(self, path: Path) -> bytes:
        try:
            with path.open("rb") as stream:
                return stream.read(self.limits.max_bytes + 1)
        except OSError as error:
            raise ImageError(
                f"picture cannot be read: {error.strerror}", where=path, remedy="restore the file"
            ) from None

    def _cut(self, image: Image.Image) -> Patches:
        wide, high = self.spec.size(*image.size)
        scaled = image.convert("RGB").resize((wide, high), Image.Resampling.BICUBIC)
        values = patchify(np.asarray(scaled)[None], self.spec)[0]
        return Patches(values, (high // self.spec.patch_size, wide // self.spec.patch_size))

    def _remember(self, path: Path, patches: Patches) -> None:
        self._cache[path] = patches
        self._free -= patches.values.nbytes
        while self._free < 0:
            _, oldest = self._cache.popitem(last=False)
            self._free += oldest.values.nbytes
