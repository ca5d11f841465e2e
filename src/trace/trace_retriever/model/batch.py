"""Rows of tokens and pictures as one padded batch, with M-RoPE positions computed here.

Shape legend: B rows, T padded length, P patches of all pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence: an item's prompt and, after it, the tokens of a trace.

    Attributes:
        closed: whether `<|emb|>` itself ends it, to be read there.
    """

    item: Item
    trace_ids: tuple[int, ...] = ()
    closed: bool = False


def collate(model: TraceModel, rows: Sequence[Row], padding: Literal["left", "right"] = "right") -> Batch:
    """Pad rows to one batch.

    Args:
        model: whose prompts, pictures and padding to use.
        rows: at least one.
        padding: `right` for training, `left` for decoding.

    Returns:
        `input_ids`, `attention_mask`, `mm_token_type_ids` [B, T], `position_ids` [3, B, T], `lengths` and
        `prompt_lengths` [B], and where there are pictures `pixel_values` [P, D] and `image_grid_thw`
        [pictures, 3].
    """
    prompts = [model.prompt_ids(row.item) for row in rows]
    patches = [model.pictures.read(row.item.image) if row.item.image is not None else None for row in rows]
    sequences = [
        [*prompt, *row.trace_ids, *([model.emb_id] if row.closed else [])]
        for prompt, row in zip(prompts, rows, strict=True)
    ]
    grids = [found.grid if found else None for found in patches]
    batch = pad(sequences, grids, model.image_id, model.pad_id, model.pictures.spec.merge_size, padding)
    batch["prompt_lengths"] = torch.tensor([len(prompt) for prompt in prompts])
    pictures = [found for found in patches if found]
    if pictures:
        batch["pixel_values"] = torch.cat([found.values for found in pictures])
        batch["image_grid_thw"] = torch.tensor([(1, *found.grid) for found in pictures])
    return {key: value.to(model.device) for key, value in batch.items()}


def pad(
    sequences: Sequence[Sequence[int]],
    grids: Sequence[tuple[int, int] | None],
    image_id: int,
    pad_id: int,
    merge: int,
    padding: Literal["left", "right"],
) -> Batch:
    """Pad token sequences (each with at most one picture) and give each token its three positions."""
    width = max(map(len, sequences))
    ids = np.full((len(sequences), width), pad_id)
    positions = np.zeros((3, len(sequences), width), np.int64)
    mask = np.zeros_like(ids)
    for number, (sequence, grid) in enumerate(zip(sequences, grids, strict=True)):
        start = width - len(sequence) if padding == "left" else 0
        span = slice(start, start + len(sequence))
        ids[number, span] = sequence
        mask[number, span] = 1
        positions[:, number, span] = mrope_positions(sequence, grid, image_id, merge)
    return {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask),
        "mm_token_type_ids": torch.from_numpy((ids == image_id).astype(np.int64) * mask),
        "position_ids": torch.from_numpy(positions),
        "lengths": torch.tensor([len(sequence) for sequence in sequences]),
    }


def mrope_positions(
    sequence: Sequence[int], grid: tuple[int, int] | None, image_id: int, merge: int
) -> NDArray[np.int64]:
    """Time, row and column of each token [3, T] (Qwen2-VL's M-RoPE; equal to transformers' `get_rope_index`).

    Words count on; a picture's tokens share one time and carry their row and column; the words after it go on
    from the largest of these.
    """
    length = len(sequence)
    if grid is None:
        return np.broadcast_to(np.arange(length), (3, length))
    high, wide = grid[0] // merge, grid[1] // merge
    start = sequence.index(image_id)
    end = start + high * wide
    positions = np.empty((3, length), np.int64)
    positions[:, :start] = np.arange(start)
    positions[0, start:end] = start
    positions[1, start:end] = start + np.repeat(np.arange(high), wide)
    positions[2, start:end] = start + np.tile(np.arange(wide), high)
    positions[:, end:] = start + max(high, wide) + np.arange(length - end)
    return positions
