"""Params of the step `evaluate`."""

from typing import Literal

from pydantic import Field

from trace_retriever.config.base import Section


class EvaluateConfig(Section):
    """What is scored, against which pools, and how sure the figures are."""

    split: Literal["val", "test"] = Field("test", description="Split whose queries are scored.")
    blend_split: Literal["train", "val"] = Field(
        "val", description="Split on which the blend of direct and reasoned vector is chosen."
    )
    pairs: tuple[str, ...] = Field((), description="Pairs to score; none means all that are embedded.")
    global_pool: bool = Field(True, description="Search the union pool of the split too.")
    depth: int = Field(100, ge=50, le=1000, description="How many candidates a query's ranking holds.")
    resamples: int = Field(2000, ge=100, description="Bootstrap resamples behind each interval.")
    seed: int = Field(1, ge=0, description="Seed of the bootstrap.")
    examples: int = Field(12, ge=0, description="Queries shown with their pictures in the report.")
    seeds_file: str | None = Field(
        None, description="Committed figures of runs with other seeds; shown in the report when given."
    )
