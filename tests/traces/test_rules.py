from dataclasses import replace

import pytest

from trace_retriever.config.filter import CoarseParams
from trace_retriever.mbeir.records import Trace
from trace_retriever.traces.examples import Example
from trace_retriever.traces.rules import RULES, Case, screen

PARAMS = CoarseParams()


@pytest.fixture
def case(examples: list[Example]) -> Case:
    """A case that breaks no rule, of composed retrieval."""
    example = next(example for example in examples if example.pair.name == "mojiedit_task7")
    example = replace(example, query=replace(example.query, text="Move crab to top."))
    trace = Trace(
        qid=example.qid,
        pair=example.pair.name,
        reasoning="reference : crab left , dog right ; change : crab top ;",
        answer="target : crab top , dog right",
        teacher="t",
        sees_target=True,
    )
    return Case(trace, example, target="crab top , dog right", source="crab left , dog right")


def changed(case: Case, **fields: str) -> Case:
    return replace(case, trace=case.trace.model_copy(update=fields))


def test_a_good_trace_is_kept(case: Case) -> None:
    screened = screen([case], PARAMS)
    assert screened.kept == [case]
    assert not any(screened.broken.values())


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("tags", {"answer": "crab top </answer>"}),
        ("tags", {"reasoning": "crab moves <|emb|> to the top"}),
        ("reasoning_length", {"reasoning": "crab moves"}),
        ("reasoning_length", {"reasoning": " ".join(f"crab{n}" for n in range(257))}),
        ("answer_length", {"answer": "crab"}),
        ("answer_length", {"answer": " ".join(f"crab{n}" for n in range(65))}),
        ("repeated_ngrams", {"reasoning": "the crab goes to top " * 3}),
        ("other_language", {"reasoning": "краб идёт наверх"}),
        ("other_language", {"answer": "crab top 上面的螃蟹和右边的狗在一起"}),
        ("refusal", {"reasoning": "I'm sorry, but I cannot see the crab."}),
        ("refusal", {"reasoning": "As an AI model, the crab is at the top."}),
        ("salient_word", {"answer": "something else entirely"}),
        ("source_caption", {"answer": "target : crab left , dog right"}),
    ],
)
def test_each_rule_drops_and_is_counted(case: Case, rule: str, fields: dict[str, str]) -> None:
    screened = screen([changed(case, **fields)], PARAMS)
    (dropped,) = screened.dropped
    assert (dropped.stage, dropped.rule) == ("coarse", rule)
    assert dropped.detail
    assert screened.broken[rule] == 1
    assert not screened.kept


def test_bounds_are_inclusive(case: Case) -> None:
    least = CoarseParams(reasoning_min=3, answer_min=2)
    assert screen([changed(case, reasoning="crab goes top", answer="crab top")], least).kept


def test_rules_that_need_what_is_not_there_pass(case: Case) -> None:
    bare = replace(
        case,
        target=None,
        source=None,
        example=replace(case.example, query=replace(case.example.query, text=None)),
    )
    assert screen([changed(bare, answer="something else")], PARAMS).kept


def test_the_source_caption_is_fine_where_nothing_is_changed(case: Case, examples: list[Example]) -> None:
    hop = next(example for example in examples if example.pair.name == "mojihop_task1")
    plain = replace(case, example=hop)
    assert screen([changed(plain, answer="target : crab left , dog right")], PARAMS).kept


def test_a_duplicate_is_dropped_and_the_first_stays(case: Case) -> None:
    other = replace(
        case,
        trace=case.trace.model_copy(update={"qid": "18:999"}),
        example=replace(case.example, qid="18:999"),
    )
    screened = screen([case, other], PARAMS)
    assert screened.kept == [case]
    assert [(drop.qid, drop.rule) for drop in screened.dropped] == [("18:999", "duplicate")]


def test_equal_traces_of_different_pictures_are_no_duplicates(case: Case) -> None:
    query = replace(case.example.query, image=None)
    other = replace(
        case,
        trace=case.trace.model_copy(update={"qid": "18:999"}),
        example=replace(case.example, qid="18:999", query=query),
    )
    assert len(screen([case, other], PARAMS).kept) == 2


def test_all_broken_rules_are_counted_but_the_first_is_the_reason(case: Case) -> None:
    screened = screen([changed(case, reasoning="I'm sorry", answer="no")], PARAMS)
    assert screened.dropped[0].rule == next(name for name in RULES if screened.broken[name])
    assert sum(screened.broken.values()) > 1
