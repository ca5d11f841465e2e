from pathlib import Path

import numpy as np
import pytest

from trace_retriever.io.jsonl import JsonlLog, dump_line
from trace_retriever.mbeir.ids import query_number
from trace_retriever.traces.answers import Answers, Logged, LoggedAnswers
from trace_retriever.traces.examples import Example
from trace_retriever.traces.judgements import Judgements
from trace_retriever.traces.teachers.base import Judgement

SURE, UNSURE = Judgement(route="complex", confidence=0.75), Judgement(route="simple", confidence=0.5)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three answers, not in the order of their ids, one given twice, and the last line cut by a kill."""
    path = tmp_path / "log.jsonl"
    rows = [("10:9", SURE), ("10:2", UNSURE), ("3:7", SURE), ("10:9", UNSURE)]
    lines = [dump_line(Logged[Judgement](qid=qid, answer=answer)) for qid, answer in rows]
    path.write_text("".join(lines) + lines[0][:20])
    with JsonlLog(path):
        pass
    return path


def test_logged_answers_are_a_mapping_by_ascending_id(log: Path) -> None:
    found = LoggedAnswers(log, Judgement)
    plain = {"3:7": SURE, "10:2": UNSURE, "10:9": SURE}
    assert list(found) == list(plain)
    assert dict(found) == dict(found.read()) == plain
    assert found["10:9"] == SURE, "the first answer counts"
    assert "10:3" not in found
    with pytest.raises(KeyError):
        found["10:3"]
    part = found.within(np.array([query_number("10:9"), query_number("10:3")]))
    assert dict(part.read()) == {"10:9": SURE}


def test_answers_are_the_same_from_memory_and_from_the_log(log: Path) -> None:
    logged = LoggedAnswers(log, Judgement)
    kept, held = Answers(logged, []), Answers(dict(logged), [])
    assert dict(kept.pairs()) == dict(held.pairs())
    assert kept.numbers().tolist() == held.numbers().tolist()


def test_judgements_as_arrays_say_what_they_were_made_of(log: Path) -> None:
    logged = LoggedAnswers(log, Judgement)
    for found in (Judgements.of(logged), Judgements.of(dict(reversed(list(logged.items()))))):
        assert dict(found) == dict(logged)
        assert Judgements.of(found) is found
        wanted = np.array([query_number(qid) for qid in ("10:2", "10:3", "3:7", "99:1")])
        routes, confidences = found.at(wanted)
        assert routes.tolist() == [0, -1, 1, -1]
        assert confidences.tolist() == [0.5, 0.0, 0.75, 0.0]
        with pytest.raises(KeyError):
            found["10:3"]


def test_no_judgements_know_no_query() -> None:
    found = Judgements.of({})
    assert list(found) == []
    routes, confidences = found.at(np.array([1, 2]))
    assert routes.tolist() == [-1, -1]
    assert confidences.tolist() == [0, 0]


def test_the_data_sets_own_labels_are_those_of_the_pairs(examples: list[Example]) -> None:
    found = Judgements.by_dataset(examples)
    assert len(found) == len(examples)
    for example in examples:
        route = "complex" if example.pair.is_complex else "simple"
        assert found[example.qid] == Judgement(route=route, confidence=1.0)
