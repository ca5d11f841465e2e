"""Which weights train: all of a tiny model; of a checkpoint, LoRA on the language model and the projector."""

from typing import Any

from torch import nn

from trace_retriever.config.train import AdaptParams
from trace_retriever.errors import CheckpointError

LANGUAGE_LINEAR = r".*language_model\.layers\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
PROJECTOR = ("visual.merger.", "visual.deepstack_merger_list.")


def adapt(network: nn.Module, params: AdaptParams) -> None:
    """Mark what trains, and under LoRA add the adapters (paper: vision encoder frozen, projector trained).

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


def merge(network: nn.Module) -> None:
    """Add LoRA's adapters, if there are any, to the weights that they adapt, and remove them."""
    from peft.tuners.tuners_utils import BaseTunerLayer

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
