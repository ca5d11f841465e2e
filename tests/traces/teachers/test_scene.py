import shutil
from pathlib import Path

import pytest

from trace_retriever.config.teacher import SceneTeacherParams
from trace_retriever.errors import DataError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.traces.examples import Example
from trace_retriever.traces.teachers.base import UnansweredError, Written
from trace_retriever.traces.teachers.scene import SceneTeacher


def complex_ones(examples: list[Example]) -> list[Example]:
    return [example for example in examples if example.pair.is_complex]


def test_it_writes_the_truth(layout: Layout, examples: list[Example]) -> None:
    teacher = SceneTeacher(layout, SceneTeacherParams(error_rate=0.0))
    truth = layout.truth("train") or {}
    for example in complex_ones(examples):
        if example.split == "train":
            written = teacher.write(example, sees_target=True)
            assert (written.reasoning, written.answer) == (
                truth[example.qid].reasoning,
                truth[example.qid].answer,
            )


def test_an_error_swaps_one_word_for_one_of_its_kind(layout: Layout, examples: list[Example]) -> None:
    right = SceneTeacher(layout, SceneTeacherParams(error_rate=0.0))
    wrong = SceneTeacher(layout, SceneTeacherParams(error_rate=1.0))
    known = {
        word for example in complex_ones(examples) for word in _words(right.write(example, sees_target=True))
    }
    for example in complex_ones(examples):
        pairs = zip(
            _words(right.write(example, sees_target=True)),
            _words(wrong.write(example, sees_target=True)),
            strict=True,
        )
        changed = [(one, other) for one, other in pairs if one != other]
        assert len(changed) == 1
        assert changed[0][1] in known
        assert changed[0][0].isalpha()


def test_errors_are_seeded_and_differ_between_sighted_and_blind(
    layout: Layout, examples: list[Example]
) -> None:
    def write(seed: int, *, sees_target: bool) -> list[Written]:
        teacher = SceneTeacher(layout, SceneTeacherParams(error_rate=0.5, seed=seed))
        return [teacher.write(example, sees_target=sees_target) for example in complex_ones(examples)]

    assert write(0, sees_target=True) == write(0, sees_target=True)
    assert write(0, sees_target=True) != write(1, sees_target=True)
    assert write(0, sees_target=True) != write(0, sees_target=False)


def test_a_simple_query_has_no_trace(layout: Layout, examples: list[Example]) -> None:
    teacher = SceneTeacher(layout, SceneTeacherParams())
    simple = next(example for example in examples if not example.pair.is_complex)
    assert teacher.judge(simple).route == "simple"
    with pytest.raises(UnansweredError, match="simple"):
        teacher.write(simple, sees_target=True)


def test_a_data_set_without_truth_needs_another_teacher(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "bare", ignore=shutil.ignore_patterns("truth"))
    with pytest.raises(DataError, match="openai or transformers"):
        SceneTeacher(Layout(tmp_path / "bare"), SceneTeacherParams())


def _words(written: Written) -> list[str]:
    return f"{written.reasoning} | {written.answer}".split()
