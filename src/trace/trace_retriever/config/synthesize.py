"""Params of the step `synthesize`."""

from pydantic import Field

from trace_retriever.config.base import Section
from trace_retriever.config.teacher import TeacherParams


class SynthesizeConfig(Section):
    """How a teacher writes traces for the complex queries."""

    sees_target: bool = Field(True, description="Whether the teacher is shown the target, as in the paper.")
    blind_queries: int = Field(
        200,
        ge=0,
        description="Train queries that are also answered without sight of the target, for leakage.",
    )
    prompt_index: int = Field(0, ge=0, le=3, description="Which of a pair's four instructions is used.")
    seed: int = Field(0, ge=0, description="Of the sample of blind queries.")
    teacher: TeacherParams = TeacherParams()
