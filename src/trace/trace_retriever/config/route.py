"""Params of the step `route`."""

from typing import Literal

from pydantic import Field

from trace_retriever.config.base import Section
from trace_retriever.config.teacher import TeacherParams

Strategy = Literal["dataset", "judge", "utility"]


class UtilityParams(Section):
    """The strategy that asks whether a trace helps a probe retriever."""

    pool_limit: int = Field(
        20_000, ge=2, description="Most candidates a target competes with; a larger pool is sampled."
    )
    min_gain: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="A query whose trace gains more reciprocal rank than this is complex.",
    )


class RouteConfig(Section):
    """How each training query is labelled simple or complex."""

    strategy: Strategy = Field("judge", description="Whose labels are used.")
    compare: tuple[Strategy, ...] = Field(
        ("dataset", "judge", "utility"),
        description="Strategies computed for the report beside the chosen one.",
    )
    compare_queries: int = Field(
        0, ge=0, description="Most queries on which a strategy that is not chosen is computed; 0 for all."
    )
    splits: tuple[Literal["train", "val"], ...] = Field(
        ("train", "val"), min_length=1, description="Splits whose queries are labelled, and get traces."
    )
    prompt_index: int = Field(0, ge=0, le=3, description="Which of a pair's four instructions is used.")
    seed: int = Field(0, ge=0, description="Of samples, folds and resampling.")
    utility: UtilityParams = UtilityParams()
    teacher: TeacherParams = TeacherParams()
