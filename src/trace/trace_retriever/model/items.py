"""What a model is given to encode: words, a picture, or both."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image


@dataclass(frozen=True, slots=True)
class Item:
    """One query (its instruction included) or one candidate, ready to encode.

    Attributes:
        text: the words; None for a picture alone.
        image: the picture's checked path, or the picture itself; None for words alone.
    """

    text: str | None = None
    image: Path | Image.Image | None = None

    def __post_init__(self) -> None:
        if not self.text and self.image is None:
            raise ValueError("an item has a text, a picture, or both")
