"""The network of a published configuration on the meta device: its shapes, without a byte of weights."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trace_retriever.config.train import AdaptParams
from trace_retriever.io.files import read_json

CONFIG = Path("experiments/paper/qwen2.5-vl-7b.json")
PARAMETERS = 8_292_166_656  # of the published checkpoint: its index counts 16,584,333,312 bytes of bfloat16
EMB_ROW = 151_665  # the first spare row of Qwen2.5-VL's table of tokens: its tokenizer has 151,665 tokens
PARTS = {
    "lora_": "adapters",
    "new_row": "row of <|emb|>",
    "visual.merger.": "projector",
    "visual.": "vision tower",
    "embed_tokens": "table of tokens",
    "lm_head": "lm_head",
    "language_model": "language model",
}
"""Part of a weight's name → what it belongs to; the first that fits counts."""


@dataclass(frozen=True)
class Counts:
    """Numbers of weights by part.

    Attributes:
        frozen, trained: part → weights.
    """

    frozen: dict[str, int]
    trained: dict[str, int]

    @property
    def total(self) -> int:
        """All, adapters included."""
        return sum(self.frozen.values()) + sum(self.trained.values())

    @property
    def trainable(self) -> int:
        """Those with a gradient."""
        return sum(self.trained.values())


def build(config: Path = CONFIG) -> Any:
    """A Qwen2.5-VL of a `config.json` on the meta device, in bfloat16.

    Raises:
        DataError: the file is missing or is no JSON.
    """
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    settings = Qwen2_5_VLConfig.from_dict(read_json(config))
    with torch.device("meta"):
        return Qwen2_5_VLForConditionalGeneration(settings).to(torch.bfloat16)


def adapted(network: Any, params: AdaptParams, emb_id: int = EMB_ROW) -> Any:
    """The network with what trains marked and adapters added, by the trainer's own `adapt`."""
    import torch

    from trace_retriever.training.adapt import adapt

    with torch.device("meta"):
        adapt(network, params, emb_id=emb_id)
    return network.to(torch.bfloat16).train()  # DeepSpeed casts adapters too; peft does not on meta


def counts(network: Any) -> Counts:
    """Weights by part, frozen and trained."""
    found: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for name, weight in network.named_parameters():
        part = next(title for piece, title in PARTS.items() if piece in name)
        found[weight.requires_grad][part] += weight.numel()
    return Counts(frozen=dict(found[False]), trained=dict(found[True]))
