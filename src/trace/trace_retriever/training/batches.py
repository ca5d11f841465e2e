"""One update's rows as padded chunks, with what each loss needs to know about them.

Shape legend: Q queries of this process, C its candidates, L labels of a chunk, B rows of a chunk, T padded
length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image

from trace_retriever.model.batch import Batch, Row, collate
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item
from trace_retriever.training.data import Corpus, Sample, candidate

NONE = -1  # fills rows of positives; no candidate has this id


@dataclass(frozen=True)
class Chunk:
    """Rows that are padded and run together.

    Attributes:
        batch: right-padded, [B, T].
        places: where each row stands among the process's rows, queries first, candidates after them, [B'];
            B' < B when the last row is only there to be seen (see `chunks`).
        label_rows, label_columns: the positions whose state predicts a label, [L].
        label_ids: the tokens to predict, [L].
    """

    batch: Batch
    places: torch.Tensor
    label_rows: torch.Tensor
    label_columns: torch.Tensor
    label_ids: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class StepBatch:
    """What one process trains on in one update.

    Attributes:
        chunks: the rows.
        is_complex: which queries reason, [Q].
        positives: integer identities of each query's known positives, filled with -1, [Q, P].
        candidate_ids: integer identities, equal for equal content, [C]; number q < Q is the positive
            that query q must find.
        direct: whether the direct loss has set in.
    """

    chunks: list[Chunk]
    is_complex: torch.Tensor
    positives: torch.Tensor
    candidate_ids: torch.Tensor
    direct: bool

    @cached_property
    def labels(self) -> int:
        """How many tokens there are to predict."""
        return sum(len(chunk.label_ids) for chunk in self.chunks)


def step_batch(
    model: TraceModel,
    corpus: Corpus,
    samples: Sequence[Sample],
    *,
    parts: int,
    by_length: bool,
    generates: bool,
    direct: bool,
    closed: bool = False,
) -> StepBatch:
    """Tokenise, pad and label the rows of one update.

    Args:
        model: whose tokens and pictures.
        corpus: where the candidates are from.
        samples: the process's queries.
        parts: number of chunks, the same in all processes.
        by_length: cut the rows, sorted by length, where it saves most padding; else in parts of equal size.
        generates: whether traces and `<|emb|>` are labels.
        direct: whether the direct loss has set in.
        closed: whether rows end in `<|emb|>`, to be read there.
    """
    targets = [sample.targets[0] for sample in samples] + [
        did for sample in samples for did in sample.targets[1:]
    ]
    rows = [Row(sample.item, sample.trace_ids, closed) for sample in samples]
    rows += [Row(candidate(corpus, did), corpus.written.get(did, ()), closed) for did in targets]
    lengths = [len(model.prompt_ids(row.item)) + len(row.trace_ids) for row in rows]
    order = np.argsort(lengths, kind="stable")
    cuts = _cut(np.array(lengths)[order], parts) if by_length else np.array_split(np.arange(len(rows)), parts)
    # candidates that write learn to; others have nothing to predict, not even that they are done
    labelled = (len(rows) if corpus.written else len(samples)) if generates else 0
    width = max(len(sample.positives) for sample in samples)
    known = [[corpus.identity(did) for did in sample.positives] for sample in samples]
    return StepBatch(
        chunks=[_chunk(model, rows, order[cut], labelled) for cut in cuts],
        is_complex=torch.tensor([sample.complex for sample in samples], device=model.device),
        positives=torch.tensor([ids + [NONE] * (width - len(ids)) for ids in known], device=model.device),
        candidate_ids=torch.tensor([corpus.identity(did) for did in targets], device=model.device),
        direct=direct,
    )


def _cut(lengths: np.ndarray, parts: int) -> list[np.ndarray]:
    """Cut rows, sorted by length, in `parts` runs: always the run and place that save the most padding."""
    runs = [(0, len(lengths))]
    while len(runs) < parts:
        best = (-1, 0, 0)
        for number, (start, end) in enumerate(runs):
            places = np.arange(start + 1, end)
            if len(places):
                saved = (places - start) * (lengths[end - 1] - lengths[places - 1])
                best = max(best, (int(saved.max()), number, int(places[saved.argmax()])))
        _, number, place = best
        start, end = runs[number]
        runs[number : number + 1] = [(start, place), (place, end)]
    return [np.arange(start, end) for start, end in runs]


def _chunk(model: TraceModel, rows: Sequence[Row], places: np.ndarray, labelled: int) -> Chunk:
    """Collate some rows; the first `labelled` of all rows have labels.

    A chunk without pictures gets a blank one as a last row that nothing reads: processes whose weights or
    gradients are split or summed together must all run the vision tower equally often, whatever they drew.
    """
    mine = [rows[int(place)] for place in places]
    seen = any(row.item.image is not None for row in mine)
    batch = collate(model, mine if seen else [*mine, Row(_blank(model))], padding="right")
    at: list[tuple[int, int, int]] = []
    for number, (place, row) in enumerate(zip(places, mine, strict=True)):
        if place < labelled:
            start = int(batch["prompt_lengths"][number]) - 1
            at += [(number, start + i, token) for i, token in enumerate((*row.trace_ids, model.emb_id))]
    labels = torch.tensor(at, dtype=torch.long, device=model.device).reshape(-1, 3)
    where = torch.from_numpy(places).to(model.device)
    return Chunk(batch, where, labels[:, 0], labels[:, 1], labels[:, 2])


def _blank(model: TraceModel) -> Item:
    side = model.pictures.spec.patch_size * model.pictures.spec.merge_size
    return Item(image=Image.new("RGB", (side, side)))
