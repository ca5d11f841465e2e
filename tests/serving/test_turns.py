import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_retriever.serving.turns import Turns


def played(turns: Turns, tokens: list[int]) -> list[str | None]:
    """Units while prompts and rows both wait; each forward over prompts has so many tokens."""
    units: list[str | None] = []
    left = list(tokens)
    while left:
        units.append(turns.next(prompts=True, rows=True))
        if units[-1] == "prompts":
            turns.took(left.pop(0))
    return units


def test_prompts_go_first_and_a_step_is_due_after_so_many_tokens() -> None:
    prompts, step = "prompts", "step"
    assert played(Turns(100), [50, 49, 60, 40]) == [prompts, prompts, prompts, step, prompts]
    assert played(Turns(100), [1000, 1000]) == [prompts, step, prompts]


def test_what_was_computed_before_a_row_came_does_not_count() -> None:
    turns = Turns(100)
    turns.took(1000)
    assert turns.next(prompts=True, rows=False) == "prompts"
    assert turns.next(prompts=True, rows=True) == "prompts"


@pytest.mark.parametrize(
    ("prompts", "rows", "unit"), [(True, False, "prompts"), (False, True, "step"), (False, False, None)]
)
def test_who_is_alone_never_waits(prompts: bool, rows: bool, unit: str | None) -> None:
    turns = Turns(1)
    for _ in range(4):
        assert turns.next(prompts=prompts, rows=rows) == unit
        turns.took(10)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 50)), max_size=60), st.integers(1, 99))
def test_nobody_starves(waiting: list[tuple[bool, bool, int]], most: int) -> None:
    """A prompt sees one step before its turn; rows see so many tokens and one forward more before theirs."""
    turns, steps, passed = Turns(most), 0, 0
    for prompts, rows, tokens in waiting:
        unit = turns.next(prompts=prompts, rows=rows)
        assert (unit is None) == (not prompts and not rows)
        assert unit != "prompts" or prompts
        assert unit != "step" or rows
        if unit == "prompts":
            turns.took(tokens)
        steps = steps + 1 if prompts and unit == "step" else 0
        passed = passed + tokens if rows and unit == "prompts" else 0
        assert steps <= 1
        assert passed < most + 50
