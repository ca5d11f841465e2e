"""One token at a time on our cache equals transformers' own forward, for every family."""

from typing import Any

import pytest
import torch
from tests.model.families import FAMILIES, build

from trace_retriever.engine.language import LanguageStep
from trace_retriever.errors import CheckpointError
from trace_retriever.model.bundle import TraceModel

LENGTHS = (3, 9, 6)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> TraceModel:
    return build(request.param)


def empty_cache(model: TraceModel, rows: int, positions: int) -> torch.Tensor:
    text = model.config.text_config
    shape = (text.num_hidden_layers, 2, rows, text.num_key_value_heads, positions, 16)
    return torch.full(shape, 1e3)  # what a cache held before must not matter


@torch.inference_mode()
def test_rows_of_different_lengths_are_fed_side_by_side(model: TraceModel) -> None:
    """Three rows, each at a place of its own, against three forwards over the whole rows."""
    network: Any = model.network
    step, cache = LanguageStep(network, 32), empty_cache(model, 4, 12)
    rows = [torch.randint(5, 300, (length,)) for length in LENGTHS]
    states: dict[int, torch.Tensor] = {}
    for at in range(max(LENGTHS)):
        # All rows are fed at each step; one that is at its end is fed its last token again, in place.
        places = [min(at, length - 1) for length in LENGTHS]
        tokens = [int(row[place]) for row, place in zip(rows, places, strict=True)]
        fed = torch.tensor([tokens, places, places])
        states_NH, chosen_N, logprobs_N = step(fed, cache, at + 1)
        states = dict(enumerate(states_NH))
    for number, row in enumerate(rows):
        expected = network.model(input_ids=row[None]).last_hidden_state[0, -1]
        torch.testing.assert_close(states[number], expected, atol=1e-5, rtol=1e-5)
        scores = network.lm_head(expected).log_softmax(-1)
        assert int(chosen_N[number]) == int(scores.argmax())
        assert float(logprobs_N[number]) == pytest.approx(float(scores.max()), abs=1e-4)
    assert (cache[:, :, 3] == 1e3).all()  # a slot that was not fed is not written to


def test_windowed_attention_is_refused() -> None:
    model = build("qwen2_5_vl")
    model.config.text_config.layer_types[0] = "sliding_attention"
    with pytest.raises(CheckpointError, match="sliding-window attention is not supported"):
        LanguageStep(model.network, 8)
