from pathlib import Path

import pytest

from trace_retriever.config.teacher import OpenaiTeacherParams, TeacherParams
from trace_retriever.errors import ConfigError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.traces.teachers.build import build_teacher, with_default_path


def test_the_default_teacher_is_offline(layout: Layout) -> None:
    assert build_teacher(TeacherParams(), layout).name == "scene"


def test_the_key_comes_from_the_environment_alone(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    params = TeacherParams(kind="openai", openai=OpenaiTeacherParams(model="m", api_key_env="THE_KEY"))
    monkeypatch.delenv("THE_KEY", raising=False)
    with pytest.raises(ConfigError, match="THE_KEY"):
        build_teacher(params, layout)
    monkeypatch.setenv("THE_KEY", "secret")
    assert build_teacher(params, layout).name == "m"


@pytest.mark.parametrize(("kind", "missing"), [("openai", "model"), ("transformers", "path")])
def test_what_a_teacher_needs_is_asked_for(layout: Layout, kind: str, missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        build_teacher(TeacherParams.model_validate({"kind": kind}), layout)


def test_the_backbone_is_a_local_teachers_default() -> None:
    local = TeacherParams(kind="transformers")
    assert with_default_path(local, Path("models/backbone")).transformers.path == "models/backbone"
    assert with_default_path(TeacherParams(), Path("models/backbone")) == TeacherParams()
