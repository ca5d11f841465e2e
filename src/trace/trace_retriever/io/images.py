"""Pictures from untrusted records: inside their root, of a known format, bounded before they are decoded."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from trace_retriever.errors import ImageError

FORMATS = ("JPEG", "PNG", "WEBP")
_BOMBS = (
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)  # the latter where warnings are errors
_MISSING = "restore the file or drop the record"


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """What a picture may be at most: bytes of its file, and pixels once decoded."""

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000


def resolve_inside(root: Path, name: str) -> Path:
    """The path of a record's picture below `root`.

    A data set may be linked into place, so a linked folder directly below the root is followed; beyond it, as
    anywhere, the path may not leave the directory it is in.

    Raises:
        ImageError: the name is absolute, climbs with `..`, or a link leads outside or in a circle.
    """
    pure = PurePosixPath(name)
    if not name or pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        raise ImageError(
            f"picture path leaves the data set: {name!r}",
            where=root,
            remedy="use a path relative to the root",
        )
    path, linked = root / pure, root / pure.parts[0]
    try:
        allowed = [root.resolve()] + ([linked.resolve()] if linked.is_dir() else [])
        target = path.resolve()
    except (OSError, RuntimeError) as error:  # a name that is too long, a circle of links
        raise ImageError(f"picture path cannot be followed: {error}", where=root) from None
    if not any(target.is_relative_to(base) for base in allowed):
        raise ImageError(f"picture path leads outside the data set through a link: {name!r}", where=root)
    return path


def load_image(root: Path, name: str, limits: ImageLimits | None = None) -> Image.Image:
    """Open a record's picture as RGB.

    Args:
        root: the data set's root.
        name: the record's path, relative to it.
        limits: bounds on bytes and pixels, checked before any pixel is decoded.

    Raises:
        ImageError: outside the root, missing, truncated, too large, or not JPEG, PNG or WebP.
    """
    limits = limits or ImageLimits()
    path = resolve_inside(root, name)
    try:
        if not path.is_file():  # a folder or a pipe is none either
            raise ImageError("picture not found", where=path, remedy=_MISSING)
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise ImageError(f"picture of {size:,} bytes; the limit is {limits.max_bytes:,}", where=path)
        content = path.read_bytes()
    except OSError as error:  # no right to read it, a name too long for the file system
        raise ImageError(f"picture cannot be read: {error.strerror}", where=path, remedy=_MISSING) from None
    return decode_image(content, limits, where=str(path))


def decode_image(content: bytes, limits: ImageLimits, *, where: str) -> Image.Image:
    """Decode bounded bytes as an RGB picture; see `load_image` for limits and errors."""
    with _faults_named(where):
        return _open(content, limits, where).convert("RGB")


def image_size(content: bytes, limits: ImageLimits, *, where: str) -> tuple[int, int]:
    """Width and height of a picture from its header, no pixel decoded; limits and errors as `load_image`."""
    with _faults_named(where):
        return _open(content, limits, where).size


def _open(content: bytes, limits: ImageLimits, where: str) -> Image.Image:
    if len(content) > limits.max_bytes:
        raise ImageError(f"picture of {len(content):,} bytes; the limit is {limits.max_bytes:,}", where=where)
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.width * image.height > limits.max_pixels:
        raise ImageError(
            f"picture of {image.width} x {image.height} pixels; the limit is {limits.max_pixels:,}",
            where=where,
        )
    return image


@contextmanager
def _faults_named(where: str) -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError:
        raise ImageError("not a JPEG, PNG or WebP picture", where=where) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"picture has too many pixels: {error}", where=where) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"picture cannot be decoded: {error}", where=where) from None
