import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_retriever.errors import DataError
from trace_retriever.training.sampling import Sampler, Stratum, neighbour_order, shares

sizes = st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=6)
runs = settings(max_examples=40, deadline=None)


def make(spec: list[tuple[int, bool]]) -> list[Stratum]:
    starts = np.cumsum([0, *(size for size, _ in spec)])
    return [
        Stratum(name=f"s{at}", complex=is_complex, members=tuple(range(starts[at], starts[at] + size)))
        for at, (size, is_complex) in enumerate(spec)
    ]


def sampler(
    strata: list[Stratum], *, batch: int = 24, steps: int = 20, group: int = 4, share: float | None = 0.5
) -> Sampler:
    return Sampler(strata, batch=batch, steps=steps, group=group, alpha=0.5, complex_share=share, seed=7)


@runs
@given(sizes, st.integers(1, 40), st.integers(1, 6))
def test_every_batch_has_its_size_and_is_a_function_of_seed_and_step(
    spec: list[tuple[int, bool]], batch: int, group: int
) -> None:
    first, again = (sampler(make(spec), batch=batch, group=group) for _ in range(2))
    for step in (19, 0, 7):
        assert len(first.draw(step)) == batch
        assert first.draw(step) == again.draw(step)


@runs
@given(sizes, st.integers(1, 4))
def test_processes_share_a_batch_evenly(spec: list[tuple[int, bool]], world: int) -> None:
    drawn = sampler(make(spec))
    parts = [drawn.share(3, rank, world) for rank in range(world)]
    assert sorted(draw.seed for part in parts for draw in part) == sorted(draw.seed for draw in drawn.draw(3))
    assert {len(part) for part in parts} == {24 // world}


@runs
@given(st.integers(1, 60), st.integers(1, 6))
def test_queries_of_a_stratum_are_seen_equally_often(size: int, group: int) -> None:
    drawn = sampler(make([(size, False)]), batch=group * 5, steps=60, group=group)
    seen = np.bincount([draw.index for step in range(60) for draw in drawn.draw(step)], minlength=size)
    epochs = 60 * 5 / -(-size // group)
    # an epoch shows each query once, and up to group - 1 of them, at random, once more
    assert seen.min() >= np.floor(epochs)
    assert seen.max() <= 2 * np.ceil(epochs) or size < group


@runs
@given(sizes)
def test_complex_share_holds_in_each_batch_to_within_a_run(spec: list[tuple[int, bool]]) -> None:
    strata = make([*spec, (10, True), (30, False)])
    is_complex = {member: stratum.complex for stratum in strata for member in stratum.members}
    drawn = sampler(strata, share=0.5)
    reasoning = [sum(is_complex[draw.index] for draw in drawn.draw(step)) for step in range(20)]
    # strata of one route may be apart in the order, each edge moving a run
    assert np.mean(reasoning) == pytest.approx(12, abs=2)


def test_neighbours_are_drawn_together() -> None:
    drawn = sampler(make([(40, False), (40, True)]))
    for step in range(20):
        indices = [draw.index for draw in drawn.draw(step)]
        for start in range(0, 24, 4):
            stratum, places = indices[start] // 40, [index % 40 for index in indices[start : start + 4]]
            assert {index // 40 for index in indices[start : start + 4]} == {stratum}
            assert [(place - places[0]) % 40 for place in places] == [0, 1, 2, 3]


def test_shares_follow_size_and_route() -> None:
    strata = make([(100, False), (400, False), (50, True)])
    assert shares(strata, 0.5, 0.4) == pytest.approx([0.2, 0.4, 0.4])
    assert shares(strata, 1.0, None) == pytest.approx([100 / 550, 400 / 550, 50 / 550])


def test_another_seed_draws_other_batches() -> None:
    strata = make([(60, False), (60, True)])
    other = Sampler(strata, batch=24, steps=20, group=4, alpha=0.5, complex_share=0.5, seed=8)
    assert sampler(strata).draw(0) != other.draw(0)


def test_nothing_to_draw_from() -> None:
    with pytest.raises(DataError, match="no training query"):
        sampler([])


def test_neighbours_share_a_picture_or_a_negative() -> None:
    pictures = ["a", None, "b", "a", None]
    positives = [["1"], ["2"], ["3"], ["4"], ["5"]]
    negatives = [[], ["9", "5"], [], [], []]
    assert neighbour_order(pictures, positives, negatives) == [0, 3, 1, 4, 2]
