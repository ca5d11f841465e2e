"""Pictures as a teacher is sent them: checked, bounded, encoded."""

import base64
import io
from pathlib import Path

from PIL import Image

from trace_retriever.errors import ImageError
from trace_retriever.io.images import ImageLimits, decode_image

LOSSLESS_SIDE = 256  # small pictures are sent as PNG, larger ones as JPEG


def read_picture(path: Path) -> Image.Image:
    """A picture as RGB; raises ImageError when it is missing, broken or too large."""
    if not path.is_file():
        raise ImageError("picture not found", where=path, remedy="restore the file or drop the record")
    limits = ImageLimits()
    if (size := path.stat().st_size) > limits.max_bytes:
        raise ImageError(f"picture of {size:,} bytes; the limit is {limits.max_bytes:,}", where=path)
    return decode_image(path.read_bytes(), limits, where=str(path))


def data_url(path: Path, side: int) -> str:
    """A picture as a data URL, scaled down to `side` pixels on its longer side."""
    image = read_picture(path)
    image.thumbnail((side, side))
    stream = io.BytesIO()
    if max(image.size) <= LOSSLESS_SIDE:
        kind = "png"
        image.save(stream, format="PNG")
    else:
        kind = "jpeg"
        image.save(stream, format="JPEG", quality=90)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
