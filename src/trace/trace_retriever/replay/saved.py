"""What a forward pass really keeps for the backward one, counted by torch's hooks on saved tensors."""

from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trace_retriever.replay.activations import input_token, layer_token
from trace_retriever.replay.flops import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

KERNEL = "replay_flash"


@dataclass
class Saved:
    """Storages that were kept, each once, without the weights'."""

    weights: set[int]
    storages: dict[int, "torch.UntypedStorage"] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Of all of them."""
        return sum(storage.nbytes() for storage in self.storages.values())

    def keep(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """Take note of a tensor; holding its storage keeps the number that names it from being used again."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self.weights:
            self.storages[storage._cdata] = storage
        return tensor


@contextmanager
def counted(weights: Iterable["torch.Tensor"]) -> "Iterator[Saved]":
    """Count what is kept within the block."""
    import torch

    found = Saved({weight.untyped_storage()._cdata for weight in weights})
    with torch.autograd.graph.saved_tensors_hooks(found.keep, lambda tensor: tensor):
        yield found


def language_pass(network: Any, rows: int, length: int) -> int:
    """Bytes kept by a forward pass of the language model over rows of embeddings, on the network's device.

    On a real device the first row is padded by one position, so that there is a mask, as in training; what a
    mask is cannot be asked on meta.
    """
    import torch

    model = network.model.language_model
    weight = model.embed_tokens.weight
    inputs = torch.zeros(rows, length, weight.shape[1], dtype=weight.dtype, device=weight.device)
    places = torch.zeros(3, rows, length, dtype=torch.long, device=weight.device)
    mask = None
    if not weight.is_meta:
        mask = torch.ones(rows, length, dtype=torch.long)
        mask[0, -1] = 0
    with counted(network.parameters()) as found:
        model(
            inputs_embeds=inputs.requires_grad_(), attention_mask=mask, position_ids=places, use_cache=False
        )
    return found.bytes


def use_flash(network: Any) -> None:
    """Have the language model attend by torch's flash kernel, which a GPU would choose and meta would not.

    Keys and values are repeated for each query head, as under a padding mask.
    """
    import torch
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import repeat_kv

    def attend(module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> tuple[Any, None]:
        key, value = (repeat_kv(part, module.num_key_value_groups) for part in (key, value))
        out = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, 0.0, True)[0]
        return out.transpose(1, 2).contiguous(), None

    AttentionInterface.register(KERNEL, attend)
    network.model.language_model.config._attn_implementation = KERNEL


def check(network: Any, rank: int, *, rows: int, length: int, recompute: bool) -> dict[str, float]:
    """Formula against count, for one network and one batch.

    Returns:
        `measured` and `formula` in bytes, and their `ratio`.
    """
    config = network.config.get_text_config()
    size = network.model.language_model.embed_tokens.weight.element_size()
    shape = Shape.of(network.config)
    full = shape.layers * layer_token(shape, rank, size, config.num_attention_heads)
    each = input_token(shape, size) if recompute else full
    measured, formula = language_pass(network, rows, length), rows * length * each
    return {"measured": measured, "formula": formula, "ratio": formula / measured}
