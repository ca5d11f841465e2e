"""From params to a teacher."""

import os
from collections.abc import Sequence
from pathlib import Path

from trace_retriever.config.teacher import TeacherParams
from trace_retriever.errors import ConfigError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Split
from trace_retriever.traces.teachers.base import Teacher


def build_teacher(
    params: TeacherParams, layout: Layout, splits: Sequence[Split] = ("train", "val")
) -> Teacher:
    """The teacher that the params name.

    Args:
        params: which teacher, and how it is reached.
        layout: the data set, which the scene teacher reads.
        splits: whose queries it will be asked about.

    Raises:
        ConfigError: a setting that this teacher needs is missing.
        DataError: the scene teacher, and the data set has no truth.
        CheckpointError: the local model's directory is not usable.
    """
    from trace_retriever.traces.teachers.chat import PromptedTeacher

    if params.kind == "scene":
        from trace_retriever.traces.teachers.scene import SceneTeacher

        return SceneTeacher(layout, params.scene, splits)
    if params.kind == "openai":
        from trace_retriever.traces.teachers.openai import OpenaiChat

        if not params.openai.model:
            raise ConfigError("teacher openai needs a model name", where="teacher.openai.model")
        return PromptedTeacher(
            OpenaiChat(params.openai, _key(params.openai.api_key_env), params.max_tokens), params.max_tokens
        )
    from trace_retriever.traces.teachers.transformers import TransformersChat

    if not params.transformers.path:
        raise ConfigError(
            "teacher transformers needs a checkpoint directory", where="teacher.transformers.path"
        )
    return PromptedTeacher(
        TransformersChat(Path(params.transformers.path), params.transformers), params.max_tokens
    )


def with_default_path(params: TeacherParams, path: Path | None) -> TeacherParams:
    """The params, a local teacher's missing checkpoint directory replaced by `path`."""
    if params.kind != "transformers" or params.transformers.path or path is None:
        return params
    local = params.transformers.model_copy(update={"path": str(path)})
    return params.model_copy(update={"transformers": local})


def _key(variable: str) -> str | None:
    """The API key; None where the params name no variable, for an endpoint that asks for none."""
    if not variable:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"the environment variable {variable} is not set",
            where="teacher.openai.api_key_env",
            remedy=f"export {variable}, or set api_key_env to '' for an endpoint without keys",
        )
    return key
