import pytest

from trace_retriever.config.filter import LeakageParams
from trace_retriever.mbeir.records import Trace
from trace_retriever.traces.leakage import leakage, overlap

PARAMS = LeakageParams(resamples=200)


def traces(answers: list[str]) -> dict[str, Trace]:
    return {
        f"6:{n}": Trace(
            qid=f"6:{n}", pair="infoseek_task6", reasoning="r", answer=a, teacher="t", sees_target=True
        )
        for n, a in enumerate(answers)
    }


def test_overlap_is_the_share_of_the_targets_ngrams() -> None:
    assert overlap("it is the red old house", "the red house", 2) == 0.5
    assert overlap("The red, house!", "the red house", 2) == 1.0
    assert overlap("house", "house", 2) == 1.0  # a target of one word
    assert overlap("anything", "", 2) == 0.0


def test_a_leaking_teacher_shows_in_the_difference() -> None:
    targets = {f"6:{n}": f"the tower number {n} of the old town" for n in range(12)}
    sighted = traces(list(targets.values()))
    blind = traces(["a tower of some town"] * 12)
    found = leakage(sighted, blind, targets, PARAMS, seed=0)
    assert found["queries"] == 12
    assert found["sighted"]["mean"] == 1.0
    assert found["difference"]["low"] > 0.5
    assert found["verbatim"] == {"sighted": 1.0, "blind": 0.0}


def test_equal_answers_show_no_difference_and_the_same_seed_gives_the_same_interval() -> None:
    targets = {f"6:{n}": f"tower {n}" for n in range(9)}
    answers = traces([f"tower {n % 3}" for n in range(9)])
    found = leakage(answers, answers, targets, PARAMS, seed=1)
    assert found["difference"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert found["sighted"]["low"] < found["sighted"]["mean"] < found["sighted"]["high"]
    assert found == leakage(answers, answers, targets, PARAMS, seed=1)


@pytest.mark.parametrize("targets", [{}, {"6:0": "tower"}])
def test_too_little_to_compare_is_said(targets: dict[str, str]) -> None:
    answers = traces(["tower", "house"])
    assert "not_measured" in leakage(answers, answers, targets, PARAMS, seed=0)
