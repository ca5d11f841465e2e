"""An item made ready for its turn: decoded, cut, tokenised."""

from collections.abc import Callable
from pathlib import Path

from trace_retriever.engine.prompts import Prompt
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item

# What is made ready within a millisecond or so: about as soon as a thread would begin under load.
FEW_LETTERS, FEW_PIXELS, FEW_BYTES = 2000, 160 * 160, 1 << 14
Source = Item | Callable[[], Item]  # the latter is called where the item is made ready


def prepare(model: TraceModel, source: Source) -> Prompt:
    """The prompt; of a picture only the patches outlive this.

    Raises:
        ImageError: the picture is broken or too large; and what `source` raises.
    """
    item = source if isinstance(source, Item) else source()
    limit = model.settings.max_prompt_tokens
    if item.image is None:
        return Prompt(model.prompter.ids(item.text, 0, limit))
    identity = model.pictures.identify(item.image)
    patches = model.pictures.read(item.image, remember=False)
    ids = model.prompter.ids(item.text, model.pictures.spec.tokens(identity.grid), limit)
    return Prompt(ids, None, identity.digest, identity.grid, patches)


def quick(item: Item) -> bool:
    """Whether an item is made ready so soon that a thread for it would cost more; a file never is."""
    image = item.image
    small = image is None or (not isinstance(image, Path) and image.width * image.height <= FEW_PIXELS)
    return small and len(item.text or "") <= FEW_LETTERS
