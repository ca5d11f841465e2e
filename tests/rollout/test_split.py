"""The split of requests by their id."""

from hypothesis import given
from hypothesis import strategies as st

from trace_retriever.rollout.split import goes_to_canary


@given(st.text(), st.floats(0, 100), st.floats(0, 100), st.text())
def test_an_id_stays_with_the_canary_as_its_share_grows(key: str, a: float, b: float, salt: str) -> None:
    low, high = sorted((a, b))
    assert goes_to_canary(key, low, salt) <= goes_to_canary(key, high, salt)


@given(st.text(), st.text())
def test_none_and_all(key: str, salt: str) -> None:
    assert not goes_to_canary(key, 0, salt)
    assert goes_to_canary(key, 100, salt)


def test_shares_are_as_asked_and_another_rollout_takes_other_ids() -> None:
    keys = [str(number) for number in range(20_000)]
    taken = {salt: {key for key in keys if goes_to_canary(key, 5, salt)} for salt in ("a", "b")}
    for found in taken.values():
        assert abs(len(found) / len(keys) - 0.05) < 0.006
    assert len(taken["a"] & taken["b"]) < 0.2 * len(taken["a"])
