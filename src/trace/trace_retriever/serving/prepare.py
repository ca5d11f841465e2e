"""An item made ready for its turn, in a thread of its own: decoded, cut, tokenised."""

from collections.abc import Callable

from trace_retriever.engine.prompts import Prompt
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item

Source = Item | Callable[[], Item]  # the latter is called by the thread that prepares


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
