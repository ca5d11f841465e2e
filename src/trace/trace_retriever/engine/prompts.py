"""Items made ready for the network: token ids first, to be planned by; then pictures, read ahead."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from PIL import Image

from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item
from trace_retriever.model.pictures import Patches

Work = TypeVar("Work")
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One item's prompt.

    Attributes:
        ids: its tokens, placeholders for the picture's features included.
        image: the picture, if any; `digest` tells its content, `grid` (high, wide) its patches.
        patches: the picture cut for the vision tower; None before it is read, or where it need not be.
    """

    ids: list[int]
    image: Path | Image.Image | None = None
    digest: str | None = None
    grid: tuple[int, int] | None = None
    patches: Patches | None = None


def plan_prompts(model: TraceModel, items: Sequence[Item], pool: ThreadPoolExecutor) -> list[Prompt]:
    """The items' tokens; of pictures only the headers are decoded, by the pool's threads.

    Raises:
        ImageError: a picture is missing, too large, extremely long, or no picture.
    """
    pictures = {number: item.image for number, item in enumerate(items) if item.image is not None}
    identities = dict(zip(pictures, pool.map(model.pictures.identify, pictures.values()), strict=True))
    spec, limit = model.pictures.spec, model.settings.max_prompt_tokens
    prompts = []
    for number, item in enumerate(items):
        if identity := identities.get(number):
            ids = model.prompter.ids(item.text, spec.tokens(identity.grid), limit)
            prompts.append(Prompt(ids, item.image, identity.digest, identity.grid))
        else:
            prompts.append(Prompt(model.prompter.ids(item.text, 0, limit)))
    return prompts


def read_prompts(model: TraceModel, prompts: Sequence[Prompt], known: Callable[[str], bool]) -> list[Prompt]:
    """The prompts with their pictures' patches, except where a picture's features are known.

    Raises:
        ImageError: a picture cannot be decoded.
    """
    return [
        prompt
        if prompt.image is None or prompt.digest is None or known(prompt.digest)
        else replace(prompt, patches=model.pictures.read(prompt.image, remember=False))
        for prompt in prompts
    ]


def ahead(
    work: Sequence[Work], do: Callable[[Work], Done], *, pool: ThreadPoolExecutor, depth: int
) -> Iterator[Done]:
    """Results in order, up to `depth` of them made by the pool's threads before they are asked for."""
    waiting: deque[Future[Done]] = deque()
    remaining = iter(work)
    try:
        waiting.extend(pool.submit(do, one) for one in islice(remaining, depth))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(do, one) for one in islice(remaining, 1))
            yield result
    finally:
        for future in waiting:
            future.cancel()
