"""Pictures' features, computed once for each content: pictures repeat a lot in composed retrieval.

Shape legend: T tokens of a picture, H hidden size.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trace_retriever.engine.counters import Counters
from trace_retriever.engine.prompts import Prompt
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.pictures import Patches


@dataclass(frozen=True)
class Features:
    """What a picture becomes in the language model.

    Attributes:
        tokens_TH: takes the place of its placeholder tokens.
        deep: what Qwen3-VL adds to the first layers' states too, [T, H] a layer; none in its siblings.
    """

    tokens_TH: torch.Tensor  # noqa: N815 - shape suffixes
    deep: tuple[torch.Tensor, ...] = ()

    @property
    def nbytes(self) -> int:
        """Memory that they hold."""
        return sum(part.nbytes for part in (self.tokens_TH, *self.deep))


class VisionCache:
    """Features by the digest of a picture's content, the least recently used dropped first.

    One cache belongs to one model with one pixel budget, so that neither is part of the key.

    Args:
        model: whose vision tower is asked.
        counters: told how many pictures were asked for and found.
        max_bytes: how much memory the features may hold.
    """

    def __init__(self, model: TraceModel, counters: Counters, max_bytes: int) -> None:
        self._model = model
        self._counters = counters
        self._free = max_bytes
        self._kept: OrderedDict[str, Features] = OrderedDict()

    def __contains__(self, digest: str) -> bool:
        return digest in self._kept

    def features(self, prompts: Sequence[Prompt]) -> list[Features]:
        """Features of the prompts' pictures, in order; those not known by one call of the vision tower."""
        asked = [(prompt.digest, prompt) for prompt in prompts if prompt.digest is not None]
        found = {digest: self._kept[digest] for digest, _ in asked if digest in self._kept}
        new = {digest: prompt for digest, prompt in asked if digest not in found}
        self._counters.pictures += len(asked)
        self._counters.picture_hits += len(asked) - len(new)
        computed = self._compute([self._patches(prompt) for prompt in new.values()])
        found.update(zip(new, computed, strict=True))
        for digest, features in found.items():
            self._keep(digest, features)
        return [found[digest] for digest, _ in asked]

    def _patches(self, prompt: Prompt) -> Patches:
        """As read ahead, or read now if the features were dropped since."""
        if prompt.patches is not None:
            return prompt.patches
        assert prompt.image is not None
        return self._model.pictures.read(prompt.image, remember=False)

    def _compute(self, patches: Sequence[Patches]) -> list[Features]:
        if not patches:
            return []
        network: Any = self._model.network
        out = network.model.get_image_features(
            torch.cat([one.values for one in patches]).to(self._model.device),
            torch.tensor([(1, *one.grid) for one in patches], device=self._model.device),
            return_dict=True,
        )
        layers = getattr(out, "deepstack_features", None)
        deep = zip(*layers, strict=True) if layers else [()] * len(patches)
        # Clones: a part of the whole output would keep all of it in memory.
        return [
            Features(tokens.clone(), tuple(one.clone() for one in more))
            for tokens, more in zip(out.pooler_output, deep, strict=True)
        ]

    def _keep(self, digest: str, features: Features) -> None:
        if digest not in self._kept:
            self._kept[digest] = features
            self._free -= features.nbytes
        self._kept.move_to_end(digest)
        while self._free < 0:
            _, oldest = self._kept.popitem(last=False)
            self._free += oldest.nbytes
