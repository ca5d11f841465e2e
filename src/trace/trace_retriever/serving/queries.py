"""What a client asks: words, a picture's bytes, an instruction; and how it wants the answer."""

from dataclasses import dataclass

from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.io.images import ImageLimits, decode_image, image_size
from trace_retriever.mbeir.text import clean_text
from trace_retriever.model.items import Item
from trace_retriever.serving.errors import BadRequest
from trace_retriever.serving.prepare import FEW_BYTES, FEW_PIXELS
from trace_retriever.serving.retrieve import Hit


@dataclass(frozen=True, slots=True)
class Asked:
    """One query as it came in; its picture is not decoded yet.

    Attributes:
        text, instruction: words; the instruction says what is wanted back.
        image: bytes of a JPEG, PNG or WebP file.
    """

    text: str | None = None
    image: bytes | None = None
    instruction: str | None = None

    def quick(self, limits: ImageLimits, where: str) -> bool:
        """Whether it has no picture, or one so small that it is decoded at once; its header is read, no more.

        Raises:
            ImageError: as `item`.
        """
        if self.image is None:
            return True
        wide, high = image_size(self.image, limits, where=where)
        return wide * high <= FEW_PIXELS and len(self.image) <= FEW_BYTES

    def item(self, limits: ImageLimits, where: str) -> Item:
        """The query as the evaluation would ask it: cleaned words, the instruction before them.

        Args:
            limits: on the picture.
            where: what to call it in an error.

        Raises:
            BadRequest: neither words nor a picture.
            ImageError: the picture is too large, of another kind or broken.
        """
        words = " ".join(filter(None, (clean_text(self.instruction), clean_text(self.text)))) or None
        if words is None and self.image is None:
            raise BadRequest(
                "a query without words or a picture", where=where, remedy="give text, image or both"
            )
        image = None if self.image is None else decode_image(self.image, limits, where=where)
        return Item(words, image)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a request wants to be answered; all of its queries alike.

    Attributes:
        reason: as for `Engine.encode`.
        max_trace_tokens: limit of a trace; None takes the server's.
        k: results a query; 0 for none.
        pool: which candidates are searched; None for all.
        deadline_ms: time for the whole request; None takes the server's.
    """

    reason: Reason = "auto"
    max_trace_tokens: int | None = None
    k: int = 0
    pool: str | None = None
    deadline_ms: int | None = None


@dataclass(frozen=True)
class Answer:
    """One query's answer: its encoding, the vector that the mode chose, and what it found."""

    encoded: Encoded
    reason: Reason
    hits: tuple[Hit, ...] = ()
