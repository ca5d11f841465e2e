"""Pictures of the page: small copies of the data set's, and what a visitor brings, which nobody keeps."""

import base64
import binascii
import io
import math
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from PIL import Image, ImageOps

from trace_retriever.demo_app.errors import NoAnswer
from trace_retriever.errors import ImageError
from trace_retriever.io.images import ImageLimits, decode_image

UPLOAD = ImageLimits(max_bytes=8_000_000, max_pixels=40_000_000)
SMALL = 320  # pixels, the longer side of what the page shows
LOSSLESS = 256 * 256  # pixels up to which a copy is a PNG


@dataclass(frozen=True)
class Brought:
    """A visitor's picture, as the model will see it.

    Attributes:
        image: decoded, upright, RGB.
        content: its bytes; `media` names their kind.
    """

    image: Image.Image
    content: bytes
    media: str

    @property
    def kept(self) -> str:
        """The bytes as text, for a form that brings them back."""
        return base64.b64encode(self.content).decode()

    @property
    def url(self) -> str:
        """The picture as a `data:` address."""
        return f"data:{self.media};base64,{self.kept}"


def bring(content: bytes, most_pixels: int) -> Brought:
    """Take a visitor's file: decoded within limits, turned upright, scaled to what the model looks at.

    Args:
        content: the file.
        most_pixels: that the model looks at; a larger picture is scaled down to this.

    Raises:
        NoAnswer: it is too large, or no picture.
    """
    if len(content) > UPLOAD.max_bytes:
        raise NoAnswer(
            f"This picture has {len(content) / 1e6:.1f} MB; the limit is {UPLOAD.max_bytes / 1e6:.0f} MB.",
            status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            remedy="make it smaller, or take another one",
        )
    image = ImageOps.exif_transpose(_decode(content))
    scale = math.sqrt(most_pixels / (image.width * image.height))
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    small, media = encode(image)
    return Brought(_decode(small), small, media)  # what comes back with the form gives the same vector


def bring_again(kept: str) -> Brought:
    """Take back what `Brought.kept` gave; raises as `bring`."""
    try:
        content = base64.b64decode(kept, validate=True)
    except (binascii.Error, ValueError):
        raise NoAnswer("The picture was lost on the way.", remedy="choose the file again") from None
    media = "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"
    return Brought(_decode(content), content, media)


def _decode(content: bytes) -> Image.Image:
    try:
        return decode_image(content, UPLOAD, where="upload")
    except ImageError as error:
        raise NoAnswer(
            f"This file cannot be used: {error.problem}.", remedy="take a JPEG, PNG or WebP picture"
        ) from None


def encode(image: Image.Image) -> tuple[bytes, str]:
    """A picture's bytes and media type: exact where it is small, else JPEG; without what cameras add."""
    stream, plain = io.BytesIO(), Image.new("RGB", image.size)
    plain.paste(image)
    if image.width * image.height <= LOSSLESS:
        plain.save(stream, format="PNG")
        return stream.getvalue(), "image/png"
    plain.save(stream, format="JPEG", quality=90)
    return stream.getvalue(), "image/jpeg"


def small_copy(path: Path) -> tuple[bytes, str]:
    """A copy of a data set's picture, small enough for a page, and its media type.

    Raises:
        ImageError: it is missing, too large or broken.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(ImageLimits().max_bytes + 1)
    except OSError as error:
        raise ImageError(f"picture cannot be read: {error.strerror}", where=path) from None
    image = decode_image(content, ImageLimits(), where=str(path))
    image.thumbnail((SMALL, SMALL))
    return encode(image)
