"""Which weights train: all of a tiny model; of a checkpoint, LoRA on the language model and the projector."""

from typing import Any

import torch
from torch import nn

from trace_retriever.config.train import AdaptParams
from trace_retriever.errors import CheckpointError

LANGUAGE_LINEAR = r".*language_model\.layers\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
PROJECTOR = ("visual.merger.", "visual.deepstack_merger_list.")


class NewRow(nn.Module):
    """What the row of a new token gains in a frozen `lm_head`: its logit is <state, row + gain>.

    Qwen's spare rows were never trained and are alike. Frozen, `<|emb|>` could be no more probable than each
    of the hundreds of others, whatever the adapters learn. Where `lm_head` is the table of tokens too, the
    token's input gains the same, as it will once merged.

    Args:
        head: `lm_head`, weight [V, H].
        row: the token.
        table: the table of tokens if it shares the weight.
    """

    def __init__(self, head: nn.Linear, row: int, table: nn.Module | None) -> None:
        super().__init__()
        self.row = row
        self.gain = nn.Parameter(head.weight.new_zeros(head.in_features))
        self.hooks = [head.register_forward_hook(lambda _, states, logits: self(states[0], logits))]
        if table is not None:
            self.hooks.append(table.register_forward_hook(lambda _, ids, out: self.embed(ids[0], out)))

    def forward(self, states: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """States [..., H] and the frozen head's logits [..., V], changed in place: they are large."""
        logits[..., self.row] += states @ self.gain
        return logits

    def embed(self, ids: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """Inputs [..., H] of the tokens [...]."""
        return embeddings + (ids == self.row).unsqueeze(-1) * self.gain

    @torch.no_grad()
    def merge(self, head: nn.Linear) -> None:
        """Put the gain into the row, and listen no more."""
        head.weight[self.row] += self.gain
        for hook in self.hooks:
            hook.remove()


def adapt(network: nn.Module, params: AdaptParams, *, emb_id: int | None = None) -> None:
    """Mark what trains, and under LoRA add the adapters (paper: vision encoder frozen, projector trained).

    Args:
        network: changed.
        params: what is to train.
        emb_id: the token `<|emb|>`, whose row of `lm_head` then trains too; none for a network that is not to
            choose it.

    Raises:
        CheckpointError: the network has no projector or no language layers under the names that are known.
    """
    if params.tuning == "full":
        network.requires_grad_(True)
        return
    from peft import LoraConfig, inject_adapter_in_model

    network.requires_grad_(False)
    config = LoraConfig(r=params.rank, lora_alpha=params.alpha, target_modules=LANGUAGE_LINEAR)
    try:
        inject_adapter_in_model(config, network)
    except ValueError as error:  # no module has such a name
        raise CheckpointError(f"no language layers to adapt: {error}") from None
    projector = [
        weight for name, weight in network.named_parameters() if any(part in name for part in PROJECTOR)
    ]
    if not projector:
        raise CheckpointError(f"the network has no projector: no weight is named {' or '.join(PROJECTOR)}")
    for weight in projector:
        weight.requires_grad_(True)
    if emb_id is not None:
        _free_row(network, emb_id)


def _free_row(network: Any, row: int) -> None:
    table = network.get_input_embeddings()
    shared = table.weight is network.lm_head.weight
    network.lm_head.new_row = NewRow(network.lm_head, row, table if shared else None)


def merge(network: nn.Module) -> None:
    """Add LoRA's adapters, if there are any, to the weights that they adapt, and remove them."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    head: Any = getattr(network, "lm_head", None)
    if hasattr(head, "new_row"):
        head.new_row.merge(head)
        del head.new_row
    adapted = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, BaseTunerLayer)]
    for name, layer in adapted:
        layer.merge()
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, _base(layer))
    if hasattr(network, "peft_config"):
        del network.peft_config


def _base(layer: Any) -> nn.Module:
    base: nn.Module = layer.get_base_layer()
    return base


def trainable_share(network: nn.Module) -> tuple[int, int]:
    """How many numbers train, and how many there are."""
    weights = list(network.parameters())
    return sum(w.numel() for w in weights if w.requires_grad), sum(w.numel() for w in weights)
