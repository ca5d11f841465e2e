from dataclasses import replace

import pytest

from trace_retriever.config.filter import FineParams, RankParams
from trace_retriever.errors import DataError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Split
from trace_retriever.mbeir.pool_index import RecordIndex
from trace_retriever.mbeir.records import Trace
from trace_retriever.traces.candidates import Described, Texts
from trace_retriever.traces.examples import Example
from trace_retriever.traces.rules import Case
from trace_retriever.traces.teachers.base import Verdict
from trace_retriever.traces.verify import Checked, decide, rank_verifier

PARAMS = RankParams()


@pytest.fixture(scope="module")
def described(layout: Layout) -> dict[Split, Described]:
    return {"train": Described.read(layout, "train"), "val": Described.read(layout, "val")}


def cases_of(layout: Layout, examples: list[Example], described: dict[Split, Described]) -> list[Case]:
    """The true traces of composed retrieval."""
    cases = []
    for example in examples:
        truth = (layout.truth(example.split) or {})[example.qid]
        if example.pair.name == "mojiedit_task7":
            texts = described[example.split]
            trace = Trace(
                qid=example.qid,
                pair=example.pair.name,
                reasoning=truth.reasoning,
                answer=truth.answer,
                teacher="t",
                sees_target=True,
            )
            cases.append(Case(trace, example, texts.target(example), texts.source(example)))
    return cases


def test_true_traces_pass_and_another_querys_traces_do_not(
    layout: Layout, examples: list[Example], described: dict[Split, Described]
) -> None:
    cases = cases_of(layout, examples, described)
    right = rank_verifier(cases, described, PARAMS, layout, seed=0)
    assert all(verdict.consistent and verdict.confidence > 0.7 for verdict in right.verdicts.values())
    swapped = [
        replace(case, trace=case.trace.model_copy(update={"answer": other.trace.answer}))
        for case, other in zip(cases, cases[1:] + cases[:1], strict=True)
        if case.trace.answer != other.trace.answer
    ]
    wrong = rank_verifier(swapped, described, PARAMS, layout, seed=0)
    assert all(verdict.confidence < 0.7 for verdict in wrong.verdicts.values())


def test_one_wrong_word_is_enough(
    layout: Layout, examples: list[Example], described: dict[Split, Described]
) -> None:
    case = cases_of(layout, examples, described)[0]
    *rest, place = case.trace.answer.split()
    other = "bottomleft" if place != "bottomleft" else "topright"
    wrong = replace(case, trace=case.trace.model_copy(update={"answer": " ".join([*rest, other])}))
    (verdict,) = rank_verifier([wrong], described, PARAMS, layout, seed=0).verdicts.values()
    assert not verdict.consistent or verdict.confidence < 0.7


def test_the_confidence_is_the_documented_formula(
    layout: Layout, examples: list[Example], described: dict[Split, Described]
) -> None:
    import numpy as np

    case = cases_of(layout, examples, described)[0]
    (verdict,) = rank_verifier([case], described, PARAMS, layout, seed=0).verdicts.values()
    field = described[case.example.split].field([case.example], PARAMS.pool_limit, 0)
    assert field is not None
    scores = field.corpus.scores([case.trace.answer])[0]
    right = field.right(case.example.positives)
    rivals = np.sort(np.delete(scores, right))[::-1][: PARAMS.distractors]
    exps = np.exp(np.array([scores[right].max(), *rivals]) / PARAMS.temperature)
    assert verdict.confidence == pytest.approx(exps[0] / exps.sum(), abs=2e-6)  # support is 1


def test_a_sampled_pool_keeps_the_positives(
    examples: list[Example], described: dict[Split, Described]
) -> None:
    group = [e for e in examples if e.pair.name == "mojiedit_task7" and e.split == "train"]
    field = described["train"].field(group, limit=2, seed=0)
    assert field is not None
    assert {did for example in group for did in example.positives} <= set(field.dids)
    assert len(field.dids) < len(described["train"].texts)


def test_without_descriptions_the_remedy_is_the_teacher(
    layout: Layout, examples: list[Example], described: dict[Split, Described]
) -> None:
    index = described["train"].texts.index
    empty = RecordIndex(index.path, index.kind, index.numbers[:0], index.offsets[:0])
    none = Described(Texts(empty, {}), described["train"].kinds[:0], {})
    nothing: dict[Split, Described] = {"train": none, "val": none}
    with pytest.raises(DataError, match="teacher"):
        rank_verifier(cases_of(layout, examples, described), nothing, PARAMS, layout, seed=0)


def test_every_case_is_kept_or_dropped_with_its_reason(
    layout: Layout, examples: list[Example], described: dict[Split, Described]
) -> None:
    cases = cases_of(layout, examples, described)[:4]
    ids = [case.trace.qid for case in cases]
    checked = Checked(
        verdicts={
            ids[0]: Verdict(consistent=True, confidence=0.71),
            ids[1]: Verdict(consistent=True, confidence=0.7),  # above, not at
            ids[2]: Verdict(consistent=False, confidence=0.99),
        },
        failures={ids[3]: "timeout"},
    )
    kept, dropped = decide(cases, checked, FineParams())
    assert [case.trace.qid for case in kept] == ids[:1]
    assert [(drop.qid, drop.rule) for drop in dropped] == [
        (ids[1], "confidence"),
        (ids[2], "inconsistent"),
        (ids[3], "unverified"),
    ]
    assert dropped[2].detail == "timeout"
