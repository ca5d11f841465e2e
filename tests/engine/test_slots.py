from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trace_retriever.engine.rows import Row
from trace_retriever.engine.slots import GROWTH, Slots

CONFIG = SimpleNamespace(hidden_size=8, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=2)


def row(ticket: int, length: int, limit: int = 4) -> Row:
    direct = np.zeros(8, np.float32)
    return Row(
        ticket=ticket,
        direct=direct,
        route="complex",
        p_emb=0.0,
        limit=limit,
        deadline=float("inf"),
        length=length,
        position=length,
    )


def prefilled(tickets: list[int], positions: int) -> torch.Tensor:
    """A batch's keys in which every number is its row's ticket, and values that are their opposites."""
    filled = torch.tensor(tickets, dtype=torch.float32)[:, None, None, None].expand(-1, 1, positions, 4)
    return torch.stack([torch.stack([filled, -filled])] * 2)


def slots(size: int) -> Slots:
    return Slots(CONFIG, size, dtype=torch.float32, device=torch.device("cpu"))


@given(st.data())
def test_the_rows_in_use_are_the_first_ones_whatever_comes_and_goes(data: st.DataObject) -> None:
    """Rows come and go at random; each keeps its own keys and values."""
    held, ticket = slots(5), 0
    for _ in range(8):
        count = data.draw(st.integers(0, held.free))
        if count:
            tickets = list(range(ticket + 1, ticket + 1 + count))
            lengths = data.draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
            rows = [row(one, length) for one, length in zip(tickets, lengths, strict=True)]
            held.take(rows, prefilled([0, *tickets], 9), range(1, count + 1))
            ticket += count
        if held.rows:
            held.drop(data.draw(st.lists(st.sampled_from(range(len(held.rows))), unique=True)))
        for slot, kept in enumerate(held.rows):
            assert isinstance(kept.ticket, int)
            assert (held.cache[:, 0, slot, :, : kept.length] == float(kept.ticket)).all()
            assert (held.cache[:, 1, slot, :, : kept.length] == -float(kept.ticket)).all()


def test_the_cache_grows_with_its_longest_row_and_keeps_what_it_holds() -> None:
    held = slots(3)
    held.take([row(1, 5)], prefilled([1], 5), [0])
    assert held.cache.shape[4] == GROWTH
    held.take([row(2, 90, limit=30)], prefilled([2], 90), [0])
    assert held.cache.shape[4] >= 120
    assert (held.cache[:, 0, 0, :, :5] == 1).all()
    assert (held.cache[:, 0, 1, :, :90] == 2).all()
    assert held.free == 1


@pytest.mark.parametrize("finished", [[0], [0, 2], [2, 1, 0]])
def test_the_last_row_moves_into_a_gap(finished: list[int]) -> None:
    held = slots(3)
    held.take([row(one, 3) for one in (1, 2, 3)], prefilled([1, 2, 3], 3), [0, 1, 2])
    held.drop(finished)
    assert {kept.ticket for kept in held.rows} == {1, 2, 3} - {slot + 1 for slot in finished}
