from pathlib import Path

import pytest
import torch
from torch import nn

from trace_retriever.config.train import AdaptParams
from trace_retriever.errors import CheckpointError
from trace_retriever.model.batch import Row, collate
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.model.forward import hidden_states
from trace_retriever.model.items import Item
from trace_retriever.training.adapt import adapt, merge

LORA = AdaptParams(tuning="lora", rank=4, alpha=8)


@pytest.fixture
def model(world: Path) -> TraceModel:
    return load_model(world / "backbone")


def states(model: TraceModel, world: Path) -> torch.Tensor:
    row = Row(Item(text="find the red square", image=world / "dataset/mbeir_images/red.png"))
    with torch.no_grad():
        return hidden_states(model.network, collate(model, [row]))


def test_lora_trains_language_layers_and_projector_only(model: TraceModel) -> None:
    adapt(model.network, LORA)
    trained = {name for name, weight in model.network.named_parameters() if weight.requires_grad}
    adapters = {name for name in trained if "lora_" in name}
    assert adapters
    assert all("language_model" in name for name in adapters)
    assert trained - adapters
    assert all("visual.merger" in name for name in trained - adapters)


def test_merged_adapters_compute_the_same_and_load_as_a_plain_model(
    model: TraceModel, world: Path, tmp_path: Path
) -> None:
    before = states(model, world)
    adapt(model.network, LORA)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    adapted = states(model, world)
    merge(model.network)
    model.save(tmp_path / "merged")
    loaded = load_model(tmp_path / "merged")
    assert not torch.allclose(adapted, before, atol=1e-3)
    torch.testing.assert_close(states(loaded, world), adapted, rtol=1e-4, atol=1e-5)
    assert not any("lora" in name for name, _ in loaded.network.named_parameters())


def test_full_tuning_trains_everything(model: TraceModel) -> None:
    adapt(model.network, AdaptParams(tuning="full"))
    assert all(weight.requires_grad for weight in model.network.parameters())


def test_a_network_of_another_kind_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no language layers"):
        adapt(nn.Sequential(nn.Linear(2, 2)), LORA)
