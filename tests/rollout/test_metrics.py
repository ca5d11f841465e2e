"""Readings of Prometheus' text, and what lies between two of them."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rollout.figures import BOUNDS, text

from trace_retriever.rollout.errors import RolloutError
from trace_retriever.rollout.metrics import LARGEST, Latencies, Snapshot, parse_metrics, series, window


def test_a_window_is_what_happened_between_two_readings() -> None:
    before = parse_metrics(text({"ok": 10, "error": 1}, {0.1: 8, 0.5: 3}))
    after = parse_metrics(text({"ok": 25, "error": 1, "refused": 2}, {0.1: 20, 0.5: 4, 2.5: 4}))
    found = window(before, after)
    assert found.outcomes == {"ok": 15, "error": 0, "refused": 2}
    assert found.requests == 17
    assert found.latencies["simple"].counts == (0, 12, 0, 1, 0, 4, 0)


def test_a_process_that_began_anew_counts_from_nothing() -> None:
    before, after = parse_metrics(text({"ok": 100}, {0.1: 100})), parse_metrics(text({"ok": 7}, {0.1: 7}))
    found = window(before, after)
    assert (found.requests, found.latencies["simple"].total) == (7, 7)


def test_several_processes_are_added_up_and_one_that_is_gone_takes_nothing_away() -> None:
    def pods(**counts: int) -> list[tuple[str, dict[str, str], float]]:
        return [
            ("trace_requests_total", {"pod": pod, "outcome": "ok", "route": "simple"}, float(count))
            for pod, count in counts.items()
        ]

    assert window(series(pods(a=5, b=9)), series(pods(a=8, c=2))).requests == 5


def test_who_hung_up_is_no_request() -> None:
    assert window({}, parse_metrics(text({"ok": 3, "cancelled": 4}))).requests == 3


@pytest.mark.parametrize(
    "content",
    ["<html>", "trace_requests_total{", 'trace_requests_total{outcome="ok"} many', "x" * (LARGEST + 1)],
)
def test_what_is_not_metrics_is_refused(content: str) -> None:
    with pytest.raises(RolloutError):
        parse_metrics(content)


def test_a_quantile_is_the_bound_of_its_bucket() -> None:
    found = Latencies(BOUNDS, (90.0, 0.0, 9.0, 0.0, 0.0, 0.0, 1.0))
    assert [found.quantile(q) for q in (0.5, 0.9, 0.99, 0.999)] == [0.05, 0.05, 0.25, inf]
    assert found.above(0.25) == 1
    assert found.next_bound(0.3) == 0.5
    assert Latencies().quantile(0.5) == inf


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=len(BOUNDS), max_size=len(BOUNDS))
)
def test_windows_add_up(counts: list[tuple[int, int]]) -> None:
    first = {bound: a for bound, (a, _) in zip(BOUNDS, counts, strict=True)}
    both = {bound: a + b for bound, (a, b) in zip(BOUNDS, counts, strict=True)}
    zero: Snapshot = {}
    one, two = (parse_metrics(text({}, first)), parse_metrics(text({}, both)))
    whole, early, late = window(zero, two), window(zero, one), window(one, two)
    assert whole.latencies["simple"].counts == tuple(
        a + b for a, b in zip(early.latencies["simple"].counts, late.latencies["simple"].counts, strict=True)
    )
