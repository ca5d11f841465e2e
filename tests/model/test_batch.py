from typing import Any, Literal, cast

import pytest
import torch
from PIL import Image

from trace_retriever.model.batch import Row, collate, pad
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import hidden_states, last_states, logits
from trace_retriever.model.items import Item

Side = Literal["left", "right"]
SIDES: tuple[Side, ...] = ("left", "right")


@pytest.fixture
def rows(model: TraceModel, picture: Image.Image) -> list[Row]:
    """Words, a picture, and both; some with a trace."""
    trace = tuple(model.trace_ids("move the dog"))
    tall = picture.resize((16, 48))
    return [
        Row(Item("find the picture of a crab")),
        Row(Item(None, picture), trace),
        Row(Item("the top", tall), trace[:1]),
        Row(Item("a"), trace),
    ]


@pytest.mark.parametrize("padding", SIDES)
@pytest.mark.parametrize("shown", [[0, 1, 2, 3], [0, 3], [1], [2, 1]])
def test_positions_are_those_of_the_library(
    model: TraceModel, rows: list[Row], padding: Side, shown: list[int]
) -> None:
    batch = collate(model, [rows[number] for number in shown], padding)
    network = cast(Any, model.network)
    expected, _ = network.model.get_rope_index(
        batch["input_ids"],
        mm_token_type_ids=batch["mm_token_type_ids"].int(),
        image_grid_thw=batch.get("image_grid_thw"),
        attention_mask=batch["attention_mask"],
    )
    real = batch["attention_mask"].bool()
    assert real.sum(1).tolist() == batch["lengths"].tolist()
    assert torch.equal(batch["position_ids"][:, real], expected[:, real])


def test_states_give_the_logits_of_the_whole_network(model: TraceModel, rows: list[Row]) -> None:
    batch = collate(model, rows)
    inputs = {key: value for key, value in batch.items() if key not in ("lengths", "prompt_lengths")}
    with torch.inference_mode():
        states = hidden_states(model.network, batch)
        found, expected = logits(model.network, states), model.network(**inputs).logits
    assert states.shape == (*batch["input_ids"].shape, model.dim)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("padding", SIDES)
def test_padding_does_not_change_states(model: TraceModel, rows: list[Row], padding: Side) -> None:
    with torch.inference_mode():
        together = hidden_states(model.network, batch := collate(model, rows, padding))
        real = batch["attention_mask"].bool()
        for number, row in enumerate(rows):
            alone = hidden_states(model.network, collate(model, [row]))[0]
            torch.testing.assert_close(together[number, real[number]], alone, atol=1e-5, rtol=1e-5)


def test_the_last_state_is_the_one_at_the_last_token(model: TraceModel, rows: list[Row]) -> None:
    with torch.inference_mode():
        batch = collate(model, rows)
        last = last_states(hidden_states(model.network, batch), batch["lengths"])
        alone = [hidden_states(model.network, collate(model, [row]))[0, -1] for row in rows]
    torch.testing.assert_close(last, torch.stack(alone), atol=1e-5, rtol=1e-5)
    prompts = [len(model.prompt_ids(row.item)) for row in rows]
    assert batch["prompt_lengths"].tolist() == prompts
    assert batch["lengths"].tolist() == [n + len(row.trace_ids) for n, row in zip(prompts, rows, strict=True)]


def test_a_picture_changes_the_state_and_words_after_it_see_it(
    model: TraceModel, picture: Image.Image
) -> None:
    other = picture.rotate(180)
    with torch.inference_mode():
        one, two = hidden_states(
            model.network, collate(model, [Row(Item("dog", shown)) for shown in (picture, other)])
        )
    assert (one[-1] - two[-1]).abs().max() > 1e-3


def test_padding_fills_with_the_padding_token_and_masks_it() -> None:
    batch = pad([[5, 6, 7], [8]], [None, None], image_id=9, pad_id=0, merge=2, padding="left")
    assert batch["input_ids"].tolist() == [[5, 6, 7], [0, 0, 8]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert batch["lengths"].tolist() == [3, 1]
