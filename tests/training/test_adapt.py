from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trace_retriever.config.train import AdaptParams
from trace_retriever.errors import CheckpointError
from trace_retriever.model.batch import Row, collate
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.model.forward import hidden_states, logits
from trace_retriever.model.items import Item
from trace_retriever.training.adapt import adapt, merge
from trace_retriever.training.worker import recompute_activations

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


def with_spare_row(model: TraceModel, *, tied: bool) -> int:
    """Make `<|emb|>` as new as in a checkpoint: its row of `lm_head` is that of a token nobody uses."""
    network: Any = model.network
    if not tied:
        network.lm_head.weight = nn.Parameter(network.lm_head.weight.detach().clone())
    spare = model.emb_id + 1
    with torch.no_grad():
        network.lm_head.weight[[model.emb_id, spare]] = 0.0
    return spare


def learn_emb(model: TraceModel, states_of: Callable[[], torch.Tensor]) -> None:
    trained = [weight for weight in model.network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    for _ in range(30):
        scores = logits(model.network, states_of()[:, -1])
        nn.functional.cross_entropy(scores, torch.tensor([model.emb_id])).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("tied", [False, True])
def test_a_new_token_can_be_chosen_only_if_its_row_trains(model: TraceModel, world: Path, tied: bool) -> None:
    spare = with_spare_row(model, tied=tied)
    row = Row(Item(text="find the red square", image=world / "dataset/mbeir_images/red.png"))
    batch = collate(model, [row])
    adapt(model.network, LORA)
    learn_emb(model, lambda: hidden_states(model.network, batch))
    frozen = logits(model.network, hidden_states(model.network, batch))[0, -1]
    assert frozen[model.emb_id] == frozen[spare]  # a tie, whatever the adapters have learned
    merge(model.network)
    adapt(model.network, LORA, emb_id=model.emb_id)
    learn_emb(model, lambda: hidden_states(model.network, batch))
    found = logits(model.network, hidden_states(model.network, batch))[0, -1]
    assert found.softmax(-1)[model.emb_id] > 0.9


@pytest.mark.parametrize("tied", [False, True])
def test_a_merged_row_computes_the_same(model: TraceModel, tmp_path: Path, tied: bool) -> None:
    with_spare_row(model, tied=tied)
    adapt(model.network, LORA, emb_id=model.emb_id)
    with torch.no_grad():
        model.network.get_parameter("lm_head.new_row.gain").copy_(torch.linspace(-1, 1, model.dim))
    batch = collate(model, [Row(Item(text="find the square"), (model.emb_id,))])
    before = logits(model.network, hidden_states(model.network, batch))
    merge(model.network)
    torch.testing.assert_close(logits(model.network, hidden_states(model.network, batch)), before)
    assert not any("new_row" in name for name in model.network.state_dict())
    model.network.config.tie_word_embeddings = tied  # type: ignore[union-attr]
    model.save(tmp_path / "merged")
    loaded = load_model(tmp_path / "merged").network
    torch.testing.assert_close(logits(loaded, hidden_states(loaded, batch)), before)


def test_recomputing_does_not_pass_the_frozen_tower_backward(model: TraceModel, world: Path) -> None:
    adapt(model.network, LORA)
    recompute_activations(model.network)
    graphs: dict[str, bool] = {}
    for part in ("blocks.0", "merger"):
        model.network.get_submodule(f"model.visual.{part}").register_forward_hook(
            lambda _, __, out, part=part: graphs.update({part: out.requires_grad})
        )
    model.network.train()
    row = Row(Item(text="find the red square", image=world / "dataset/mbeir_images/red.png"))
    assert hidden_states(model.network, collate(model, [row])).requires_grad
    assert graphs == {"blocks.0": False, "merger": True}
