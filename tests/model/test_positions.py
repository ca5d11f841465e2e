"""Where a sequence's embedding is read: five places, on a batch that is spelled out."""

import pytest
import torch

from trace_retriever.config.train import Position
from trace_retriever.model.positions import pooled

MARK = 9
# Two rows of T = 6: a prompt of 2 and a trace "5 : 6" (3), then padding; and a prompt of 3 without a trace.
BATCH = {
    "input_ids": torch.tensor([[1, 2, 5, MARK, 6, 0], [1, 2, MARK, 0, 0, 0]]),
    "lengths": torch.tensor([5, 3]),
    "prompt_lengths": torch.tensor([2, 3]),
}
# The state at column t of row b is (t, b), so that a mean tells which columns counted.
STATES = torch.stack([torch.arange(6.0).expand(2, 6), torch.tensor([[0.0], [1.0]]).expand(2, 6)], dim=-1)


@pytest.mark.parametrize(
    ("position", "columns"),
    [
        ("before_emb", (4.0, 2.0)),
        ("emb", (4.0, 2.0)),
        ("structure", (3.0, 2.0)),  # the sign in a prompt does not count: the second row is read at its end
        ("mean_trace", (3.0, 2.0)),
        ("mean_all", (2.0, 1.0)),
    ],
)
def test_each_position_reads_its_columns(position: Position, columns: tuple[float, float]) -> None:
    found = pooled(STATES, BATCH, position, MARK)
    assert found.tolist() == [[columns[0], 0.0], [columns[1], 1.0]]


def test_of_several_signs_the_last_is_read() -> None:
    batch = {**BATCH, "input_ids": torch.tensor([[1, 2, MARK, MARK, 6, 0], [1, 2, MARK, 0, 0, 0]])}
    assert pooled(STATES, batch, "structure", MARK)[0, 0] == 3.0
