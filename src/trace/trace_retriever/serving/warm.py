"""Computing once all that a first request would otherwise wait for: kernels, caches, the slots' memory."""

import numpy as np
from PIL import Image

from trace_retriever.engine.encoded import Reason
from trace_retriever.engine.prompts import Prompt
from trace_retriever.model.items import Item
from trace_retriever.serving.scheduler import Job, OpenScheduler

STEPS = 4  # tokens of a trace that is long enough


def warm_up(scheduler: OpenScheduler, tokens: int) -> None:
    """Encode words, a picture and both, with and without reasoning; leaves nothing behind but what is warm.

    Args:
        scheduler: not in use yet.
        tokens: of a prompt that fills a turn.

    Raises:
        CheckpointError: the model's states are not finite.
    """
    picture = Image.fromarray(np.full((64, 64, 3), 128, np.uint8))
    items = [Item("warm"), Item(None, picture), Item("warm " * tokens, picture)]
    reasons: tuple[Reason, ...] = ("never", "auto", "always")
    for reason in reasons:
        for item in items:
            job = Job(prompt=_prompt(scheduler, item), reason=reason, trace_tokens=STEPS)
            scheduler.enter([job], reason)
            while scheduler.busy:
                scheduler.step()


def _prompt(scheduler: OpenScheduler, item: Item) -> Prompt:
    model = scheduler.model
    limit = model.settings.max_prompt_tokens
    if item.image is None:
        return Prompt(model.prompter.ids(item.text, 0, limit))
    identity, patches = model.pictures.identify(item.image), model.pictures.read(item.image)
    ids = model.prompter.ids(item.text, model.pictures.spec.tokens(identity.grid), limit)
    return Prompt(ids, None, identity.digest, identity.grid, patches)
