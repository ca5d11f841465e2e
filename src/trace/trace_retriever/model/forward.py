"""The network's states and logits, asked for separately so that `lm_head` runs only where it is needed."""

import torch
from torch import nn
from torch.nn import functional as F

from trace_retriever.model.batch import Batch

NETWORK_INPUTS = (
    "input_ids",
    "attention_mask",
    "mm_token_type_ids",
    "position_ids",
    "pixel_values",
    "image_grid_thw",
)


def hidden_states(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Last-layer states after the final norm, [B, T, H], without `lm_head`."""
    inputs = {key: batch[key] for key in NETWORK_INPUTS if key in batch}
    states: torch.Tensor = network.get_submodule("model")(**inputs, use_cache=False).last_hidden_state
    return states


def logits(network: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """Next-token logits of states [..., H] → [..., V]."""
    scores: torch.Tensor = network.get_submodule("lm_head")(states)
    return scores


def last_states(states_BTH: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    """The state at each row's last token [B, H] of a right-padded batch: the one that predicts `<|emb|>`."""
    return states_BTH[torch.arange(len(lengths_B), device=states_BTH.device), lengths_B - 1]


def normalise(vectors: torch.Tensor) -> torch.Tensor:
    """Unit length in float32, so that inner products are cosines."""
    return F.normalize(vectors.float(), dim=-1)
