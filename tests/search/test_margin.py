import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.search.vectors import unit

from trace_retriever.search.blocks import widened
from trace_retriever.search.margin import (
    Rounded,
    at_least,
    bound,
    fast_precision,
    round_to,
    threshold,
)


def rounded(vectors: NDArray[np.float32], precision: str) -> Rounded:
    values, norms, lost = round_to(torch.from_numpy(vectors), precision)
    return Rounded(values, widened(norms), widened(lost))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("dim", [3, 256, 3584])
def test_fast_scores_stay_within_the_bound_which_is_not_loose(precision: str, dim: int) -> None:
    rng = np.random.default_rng(dim)
    queries, candidates = unit(rng, 60, dim), unit(rng, 60, dim)
    candidates[:30] = queries[:30]  # scores near 1 too
    fast_q, fast_c = rounded(queries, precision), rounded(candidates, precision)
    fast = torch.mm(fast_q.values, fast_c.values.T).float().numpy()
    exact = (queries[:, None].astype(np.float64) * candidates[None]).sum(-1)
    largest = Rounded(fast_c.values, float(np.max(fast_c.norm)), float(np.max(fast_c.lost)))
    error = bound(fast_q, largest, dim)[:, None]
    assert (exact >= at_least(fast, error, precision)).all()
    assert (fast >= threshold(exact.astype(np.float32), error, precision)).all()
    assert error.max() < {"float32": 3e-3, "bfloat16": 1.1e-2}[precision]


@settings(max_examples=200, deadline=None)
@given(st.floats(-3, 3, width=32), st.floats(0, 1), st.sampled_from(["float32", "bfloat16"]))
def test_a_threshold_lies_below_every_rounding_of_what_reaches_it(
    score: float, error: float, precision: str
) -> None:
    """The fast score of a true one is at worst `error` too small and then rounded to the type."""
    worst = torch.tensor(score - error, dtype=torch.float64).to(getattr(torch, precision)).float().numpy()
    least = threshold(np.array([score], np.float32), np.array([error]), precision)
    assert worst >= least[0]


def test_the_fast_type_is_measured_once() -> None:
    assert fast_precision("cpu") in ("float32", "bfloat16")
    assert fast_precision("cpu") is fast_precision("cpu")
