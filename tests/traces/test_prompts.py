from dataclasses import replace

import pytest

from trace_retriever.mbeir.pairs import OFFICIAL_PAIRS, Pair
from trace_retriever.mbeir.records import Trace
from trace_retriever.traces.examples import Example
from trace_retriever.traces.prompts import (
    GUIDANCE,
    judge_prompt,
    kind_of,
    verifier_prompt,
    writer_prompt,
)


@pytest.fixture
def edit(examples: list[Example]) -> Example:
    return next(example for example in examples if example.pair.name == "mojiedit_task7")


def test_only_a_sighted_teacher_is_shown_the_target(edit: Example) -> None:
    assert edit.target is not None
    assert edit.target.image is not None
    sighted, blind = writer_prompt(edit, sees_target=True), writer_prompt(edit, sees_target=False)
    assert sighted.images == (edit.query.image, edit.target.image)
    assert blind.images == (edit.query.image,)
    assert "Target" not in blind.text
    assert "target" not in blind.system
    assert "second picture" in sighted.text


def test_the_judge_never_sees_the_target(edit: Example) -> None:
    prompt = judge_prompt(edit)
    assert prompt.images == (edit.query.image,)
    assert "Target" not in prompt.text


def test_words_of_a_text_target_and_of_the_trace_are_shown_to_the_verifier(examples: list[Example]) -> None:
    hop = next(example for example in examples if example.pair.name == "mojihop_task1")
    assert hop.target is not None
    trace = Trace(
        qid=hop.qid, pair=hop.pair.name, reasoning="because", answer="thus", teacher="t", sees_target=True
    )
    text = verifier_prompt(hop, trace).text
    assert f"Target, words: {hop.target.text}" in text
    assert "reasoning: because" in text
    assert "answer: thus" in text


def test_every_pair_of_the_paper_has_guidance_and_composed_retrieval_its_own() -> None:
    kinds = {pair.name: kind_of(pair) for pair in OFFICIAL_PAIRS}
    assert set(kinds.values()) <= set(GUIDANCE)
    assert {name for name, kind in kinds.items() if kind == "composed"} == {"cirr_task7", "fashioniq_task7"}
    for word in ("source state", "operation", "invariant context"):
        assert word in GUIDANCE["composed"]
    assert kind_of(Pair("infoseek", 8)) == "visual_knowledge"


def test_a_query_without_words_still_has_a_prompt(edit: Example) -> None:
    wordless = replace(edit, query=replace(edit.query, text=None))
    assert "Query, words" not in judge_prompt(wordless).text
