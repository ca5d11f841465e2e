"""Where texts put their targets among hard distractors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trace_retriever.traces.candidates import Field
from trace_retriever.traces.examples import Example
from trace_retriever.traces.lexical import Floats

CHUNK = 256  # texts scored at once: bounds memory at 256 x candidates
TIE = 1e-9


@dataclass(frozen=True, slots=True)
class Ranked:
    """How one text ranks its target.

    Attributes:
        rank: the best positive's rank from 1 in the whole field; what ties with it counts half.
        score: the best positive's cosine.
        rivals: the greatest cosines of wrong candidates, descending.
        best: row of the best positive in the field.
    """

    rank: float
    score: float
    rivals: tuple[float, ...]
    best: int


def ranks(
    field: Field, examples: Sequence[Example], texts: Sequence[str], distractors: int = 1
) -> list[Ranked]:
    """Rank each example's positives by its text.

    Candidates that read the same as a positive are neither right nor wrong and are passed over. An
    example without a positive in the field ranks it last.

    Args:
        field: C candidates.
        examples: N examples.
        texts: their N texts.
        distractors: how many rivals to give back.
    """
    results: list[Ranked] = []
    for start in range(0, len(texts), CHUNK):
        scores = field.corpus.scores(texts[start : start + CHUNK])
        chunk = examples[start : start + CHUNK]
        results += [
            _rank(row, field.right(example.positives), distractors)
            for row, example in zip(scores, chunk, strict=True)
        ]
    return results


def _rank(row: Floats, right: list[int], distractors: int) -> Ranked:
    if not right:
        return Ranked(rank=float(len(row) + 1), score=0.0, rivals=(), best=-1)
    best = max(right, key=lambda place: (row[place], -place))
    score = float(row[best])
    wrong = np.delete(row, right)
    above = np.count_nonzero(wrong > score + TIE)
    tied = np.count_nonzero(np.abs(wrong - score) <= TIE)
    if len(wrong) > distractors:
        wrong = np.partition(wrong, -distractors)[-distractors:]
    rivals = np.sort(wrong)[::-1]
    return Ranked(rank=1 + above + tied / 2, score=score, rivals=tuple(rivals.tolist()), best=best)
