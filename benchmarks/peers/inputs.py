"""What every loop takes and gives: padded inputs as a processor makes them; vectors, traces, costs.

Shape legend: B rows, T positions (padded), Q queries, D entries of a vector.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item

Trace = tuple[int, ...]


@dataclass
class Cost:
    """What a loop computed, in counts that need no clock.

    Attributes:
        prefill_slots, prefill_tokens: positions computed in forwards over prompts (a second forward over
            prompt and trace included); and the tokens that the prompts really have.
        decode_steps, decode_row_steps: forwards for one token a row; and rows x steps.
        needed_row_steps: tokens of the traces.
        state_bytes: the most bytes of hidden states held in lists at one time.
        pictures: pictures that went through the vision tower.
    """

    prefill_slots: int = 0
    prefill_tokens: int = 0
    decode_steps: int = 0
    decode_row_steps: int = 0
    needed_row_steps: int = 0
    state_bytes: int = 0
    pictures: int = 0

    def ratios(self) -> dict[str, float | None]:
        """Computed over needed; None where nothing is needed."""
        return {
            "decode_over_needed": _over(self.decode_row_steps, self.needed_row_steps),
            "prefill_over_tokens": _over(self.prefill_slots, self.prefill_tokens),
        }

    def record(self) -> dict[str, Any]:
        """Counts and ratios as plain values."""
        return {**asdict(self), **self.ratios()}


def _over(part: int, whole: int) -> float | None:
    return part / whole if whole else None


@dataclass
class Output:
    """What a loop gives: unit vectors [Q, D], traces, and the cost."""

    vectors: NDArray[np.float32]
    traces: list[Trace]
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True)
class Inputs:
    """A padded batch as a processor makes it; positions are left to transformers, as in these projects.

    Attributes:
        items: what the rows are.
        tensors: `input_ids`, `attention_mask`, `mm_token_type_ids` [B, T]; with pictures `pixel_values` and
            `image_grid_thw`.
        lengths: tokens of each row.
    """

    items: Sequence[Item]
    tensors: dict[str, torch.Tensor]
    lengths: list[int]

    @property
    def pictures(self) -> int:
        """How many rows have a picture."""
        return sum(item.image is not None for item in self.items)


def make_inputs(
    model: TraceModel, items: Sequence[Item], traces: Sequence[Trace] | None = None, *, left: bool
) -> Inputs:
    """Tokenise, read pictures and pad one batch.

    Args:
        model: whose prompts and pictures.
        items: the rows.
        traces: tokens that follow the prompts.
        left: pad on the left, for decoding; else on the right.
    """
    sequences = [model.prompt_ids(item) for item in items]
    if traces is not None:
        sequences = [[*prompt, *trace] for prompt, trace in zip(sequences, traces, strict=True)]
    width = max(map(len, sequences))
    ids_BT = torch.full((len(items), width), model.pad_id)
    mask_BT = torch.zeros_like(ids_BT)
    for number, sequence in enumerate(sequences):
        span = slice(width - len(sequence), None) if left else slice(0, len(sequence))
        ids_BT[number, span] = torch.tensor(sequence)
        mask_BT[number, span] = 1
    tensors = {
        "input_ids": ids_BT,
        "attention_mask": mask_BT,
        "mm_token_type_ids": (ids_BT == model.image_id).long() * mask_BT,
        **_pictures(model, items),
    }
    return Inputs(items, tensors, [len(sequence) for sequence in sequences])


def _pictures(model: TraceModel, items: Sequence[Item]) -> dict[str, torch.Tensor]:
    found = [model.pictures.read(item.image) for item in items if item.image is not None]
    if not found:
        return {}
    return {
        "pixel_values": torch.cat([one.values for one in found]),
        "image_grid_thw": torch.tensor([(1, *one.grid) for one in found]),
    }


def prepare(model: TraceModel, items: Sequence[Item], size: int, *, left: bool) -> Iterator[Inputs]:
    """Batches of `size` in the order of the items, each made when it is asked for."""
    for start in range(0, len(items), size):
        yield make_inputs(model, items[start : start + size], left=left)


def as_output(vectors: Iterable[torch.Tensor], traces: list[Trace], cost: Cost) -> Output:
    """States [B, D] of the batches as unit vectors."""
    joined = torch.nn.functional.normalize(torch.cat(list(vectors)).float(), dim=-1)
    return Output(joined.numpy(), traces, cost)
