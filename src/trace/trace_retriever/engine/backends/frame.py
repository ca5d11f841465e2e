"""A model directory without its weights: what is needed to prompt a network that runs elsewhere."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from trace_retriever.errors import CheckpointError
from trace_retriever.io.files import read_json
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.checkpoint import check_checkpoint, weight_files
from trace_retriever.model.settings import Settings

NORM_ENDS = ("language_model.norm.weight", "language_model.model.norm.weight", "model.norm.weight")


class Configuration(nn.Module):
    """Stands in for a network of which only the configuration is at hand."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config


def load_frame(path: Path) -> TraceModel:
    """Tokenizer, picture reader, settings and configuration of a model directory.

    Raises:
        CheckpointError: see `check_checkpoint`.
    """
    from transformers import AutoConfig, AutoTokenizer

    settings = Settings.load(path)
    check_checkpoint(path)
    config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    return TraceModel(
        Configuration(config), tokenizer, read_json(path / "preprocessor_config.json"), settings
    )


class FinalNorm:
    """The language model's last normalisation, for backends that hand over the states before it.

    Args:
        path: the model directory; one small tensor of it is read.
        config: its transformers configuration.

    Raises:
        CheckpointError: no weight has the norm's name.
    """

    def __init__(self, path: Path, config: Any) -> None:
        self.weight_H = _read_norm(path)
        self.epsilon = float(config.get_text_config().rms_norm_eps)

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """RMSNorm in float32: states [..., H] → [..., H]."""
        wide = states.float()
        return wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon) * self.weight_H


def _read_norm(path: Path) -> torch.Tensor:
    from safetensors import safe_open

    for file in weight_files(path):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                if name.endswith(NORM_ENDS) and "visual" not in name:
                    weight: torch.Tensor = tensors.get_tensor(name).float()
                    return weight
    raise CheckpointError("the language model's final norm is not among the weights", where=path)
