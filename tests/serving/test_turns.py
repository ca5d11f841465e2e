import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_retriever.serving.turns import Turns


def test_prompts_go_first_and_a_step_is_due_after_so_many_forwards() -> None:
    turns = Turns(2)
    found = [turns.next(prompts=True, rows=True) for _ in range(6)]
    assert found == ["prompts", "prompts", "step", "prompts", "prompts", "step"]


@pytest.mark.parametrize(
    ("prompts", "rows", "unit"), [(True, False, "prompts"), (False, True, "step"), (False, False, None)]
)
def test_who_is_alone_never_waits(prompts: bool, rows: bool, unit: str | None) -> None:
    turns = Turns(1)
    assert [turns.next(prompts=prompts, rows=rows) for _ in range(4)] == [unit] * 4


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60), st.integers(1, 4))
def test_nobody_starves(waiting: list[tuple[bool, bool]], forwards: int) -> None:
    """A prompt sees one step before its turn, rows so many forwards before theirs."""
    turns, steps, passed = Turns(forwards), 0, 0
    for prompts, rows in waiting:
        unit = turns.next(prompts=prompts, rows=rows)
        assert (unit is None) == (not prompts and not rows)
        assert unit != "prompts" or prompts
        assert unit != "step" or rows
        steps = steps + 1 if prompts and unit == "step" else 0
        passed = passed + 1 if rows and unit == "prompts" else 0
        assert steps <= 1
        assert passed <= forwards
