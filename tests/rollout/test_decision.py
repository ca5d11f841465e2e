"""When a step goes on, waits, or goes back."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rollout.figures import side

from trace_retriever.config.rollout import RolloutRules
from trace_retriever.rollout.decision import Action, decide, difference_bounds
from trace_retriever.rollout.metrics import Window

RULES = RolloutRules()
LATE, EARLY = RULES.step_seconds, 1.0


def test_a_canary_as_good_as_the_champion_goes_on() -> None:
    found = decide(side(5000, 3), side(400), RULES, LATE)
    assert found.action is Action.ADVANCE
    assert {check.name for check in found.checks} == {"errors", "refused", "slow simple"}
    assert found.figures()["errors"]["canary"] == [0, 400]


@pytest.mark.parametrize(
    ("canary", "why"),
    [
        (side(60, errors=20), "errors: 20/80"),
        (side(60, refused=40), "refused: 40/100"),
        (side(80, seconds={0.05: 50, 2.5: 30}), "slow simple (above 0.1 s): 30/80"),
    ],
)
def test_a_bad_one_goes_back_at_once_and_the_reason_has_the_figures(canary: Window, why: str) -> None:
    found = decide(side(1000), canary, RULES, EARLY)
    assert found.action is Action.ROLL_BACK
    assert why in found.reason


def test_missed_deadlines_are_errors() -> None:
    canary = Window({"ok": 100, "deadline": 20})
    assert decide(side(1000), canary, RULES, EARLY).action is Action.ROLL_BACK


def test_what_the_champion_does_too_is_no_fault_of_the_canary() -> None:
    assert decide(side(900, errors=100), side(5400, errors=600), RULES, LATE).action is not Action.ROLL_BACK
    assert (
        decide(side(90_000, errors=10_000), side(54_500, errors=5500), RULES, LATE).action is Action.ADVANCE
    )


@pytest.mark.parametrize(
    ("champion", "canary", "elapsed"),
    [
        (side(5000), side(RULES.min_requests - 1), LATE),
        (side(5000), side(400), LATE - 1),
        (side(5000), side(400, errors=4), LATE),  # 1 %: neither shown to be good nor to be bad
        (Window(), side(400), LATE),
        (side(5000), Window(), LATE),
    ],
)
def test_it_waits_for_evidence_and_goes_back_when_there_is_none_in_time(
    champion: Window, canary: Window, elapsed: float
) -> None:
    assert decide(champion, canary, RULES, elapsed).action is Action.CONTINUE
    if elapsed >= LATE:
        late = decide(champion, canary, RULES, RULES.max_step_seconds)
        assert late.action is Action.ROLL_BACK
        assert "not shown to be good within 900 s" in late.reason


def test_without_a_champion_its_own_shares_count() -> None:
    assert decide(None, side(400), RULES, LATE).action is Action.ADVANCE
    assert decide(None, side(360, errors=40), RULES, EARLY).action is Action.ROLL_BACK


def test_a_route_with_too_few_requests_is_not_compared() -> None:
    few = RULES.min_route_requests - 1
    found = decide(side(1000), side(400, seconds={2.5: few}), RULES, LATE)
    assert "slow simple" not in {check.name for check in found.checks}


def test_latency_past_the_last_bucket_cannot_be_told_apart() -> None:
    slow = {float("inf"): 500}
    assert decide(side(500, seconds=slow), side(500, seconds=slow), RULES, LATE).action is Action.ADVANCE


def test_newcombes_bounds_as_published() -> None:
    # Newcombe 1998, table II: 56/70 and 48/80, 95 % two-sided, method 10: 0.0524 to 0.3339
    low, high = difference_bounds((56, 70), (48, 80), 0.975)
    assert low == pytest.approx(0.0524, abs=1e-4)
    assert high == pytest.approx(0.3339, abs=1e-4)


COUNTS = st.integers(0, 2000)


@settings(max_examples=40)
@given(COUNTS, COUNTS, COUNTS, COUNTS, st.integers(0, 40), st.integers(0, 40))
def test_more_errors_never_make_a_decision_better(
    ok: int, errors: int, theirs: int, their_errors: int, more: int, seconds: int
) -> None:
    order = [Action.ADVANCE, Action.CONTINUE, Action.ROLL_BACK]
    champion = side(theirs, their_errors)
    one = decide(champion, side(ok + more, errors), RULES, float(seconds * 10))
    worse = decide(champion, side(ok, errors + more, seconds={0.05: ok + more}), RULES, float(seconds * 10))
    assert order.index(worse.action) >= order.index(one.action)


@settings(max_examples=40)
@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_bounds_hold_the_difference_and_the_stricter_ones_are_wider(a: int, b: int, c: int, d: int) -> None:
    first, second = (a, a + b + 1), (c, c + d + 1)
    low, high = difference_bounds(first, second, 0.95)
    wide_low, wide_high = difference_bounds(first, second, 0.999)
    difference = first[0] / first[1] - second[0] / second[1]
    assert -1 <= wide_low <= low <= difference + 1e-12
    assert difference - 1e-12 <= high <= wide_high <= 1


def test_equal_sides_are_seldom_sent_back_though_they_are_looked_at_again_and_again() -> None:
    draw, back = random.Random(5), 0
    for _ in range(20):
        errors, theirs = 0, 0
        for look in range(1, 9):
            errors += sum(draw.random() < 0.02 for _ in range(40))
            theirs += sum(draw.random() < 0.02 for _ in range(120))
            champion, canary = side(120 * look - theirs, theirs), side(40 * look - errors, errors)
            if decide(champion, canary, RULES, EARLY).action is Action.ROLL_BACK:
                back += 1
                break
    assert back <= 1
