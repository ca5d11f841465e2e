"""Which of many scores are above a threshold: two looks, so that nearly all of them are seen once only."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

GROUP = 32  # candidates whose largest score is looked at first
PART = 8192  # groups opened at a time, which bounds the memory for pairs


def pairs_above(
    scores: "torch.Tensor", least: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """The pairs whose score is at least the query's threshold.

    Args:
        scores: float32 or bfloat16 [B, Q] on any device.
        least: float32 [Q].

    Yields:
        Candidates, queries and scores of some pairs, [M] each.
    """
    import torch

    whole = len(scores) // GROUP * GROUP
    least_Q = torch.from_numpy(least).to(scores.device)
    if whole:
        grouped = scores[:whole].view(-1, GROUP, scores.shape[1])
        hits = (_maxima(grouped, bool((least > 0).all())) >= least_Q).nonzero()
        for part in torch.split(hits, PART):
            groups, queries = part[:, 0], part[:, 1]
            opened = grouped[groups, :, queries]  # [H, GROUP]
            hit, member = (opened >= least_Q[queries, None]).nonzero(as_tuple=True)
            yield _on_cpu(groups[hit] * GROUP + member, queries[hit], opened[hit, member])
    if whole < len(scores):
        rest, queries = (scores[whole:] >= least_Q).nonzero(as_tuple=True)
        yield _on_cpu(rest + whole, queries, scores[whole:][rest, queries])


def kth_score(scores: "torch.Tensor", k: int) -> "torch.Tensor":
    """A score [Q] that at least k of each query's [B, Q] reach: near the k-th best, and quick to find.

    The k-th best of the groups' largest is reached by k candidates, one of each group.
    """
    import torch

    groups = len(scores) // GROUP
    if groups >= 4 * k:  # few of the best k share a group
        scores = scores[: groups * GROUP].view(groups, GROUP, scores.shape[1]).amax(1)
    return torch.topk(scores.T.contiguous(), k, dim=1).values[:, -1]


def _maxima(grouped: "torch.Tensor", positive: bool) -> "torch.Tensor":
    """The largest of each group [G, GROUP, Q] → [G, Q]; if only positive ones count, others may be wrong.

    The bits of bfloat16, read as integers, are in the order of the numbers as long as these are positive, and
    NumPy finds the largest of integers several times faster than torch that of bfloat16.
    """
    import torch

    if grouped.device.type == "cpu" and (positive or grouped.dtype == torch.float32):
        integers = grouped.dtype == torch.bfloat16
        array = (grouped.view(torch.int16) if integers else grouped).numpy()
        found = torch.from_numpy(np.maximum.reduce(array, axis=1))
        return found.view(torch.bfloat16) if integers else found
    return grouped.amax(1)


def _on_cpu(
    candidates: "torch.Tensor", queries: "torch.Tensor", scores: "torch.Tensor"
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    return candidates.cpu().numpy(), queries.cpu().numpy(), scores.float().cpu().numpy()
