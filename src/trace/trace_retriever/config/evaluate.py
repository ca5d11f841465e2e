"""Params of the step `evaluate`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from trace_retriever.config.base import Section


class RouteCost(Section):
    """What answering a query costs: `direct_ms`, and `trace_token_ms` more for each token of its trace."""

    direct_ms: float = Field(gt=0, description="Milliseconds of a query that is embedded at once.")
    trace_token_ms: float = Field(gt=0, description="Milliseconds that each trace token adds.")


class RouteBudget(Section):
    """The most that a query may cost in the mean over pairs: trace tokens, or milliseconds."""

    tokens: float | None = Field(None, ge=0, description="Trace tokens a query.")
    milliseconds: float | None = Field(None, gt=0, description="Milliseconds a query, under the cost model.")
    cost: RouteCost | None = Field(None, description="The cost model behind the milliseconds.")
    cost_file: str | None = Field(
        None, description="Or the JSON file of a benchmark that holds it, under the key `route_cost`."
    )

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if (self.tokens is None) == (self.milliseconds is None):
            raise ValueError("a budget is either in tokens or in milliseconds")
        models = sum(model is not None for model in (self.cost, self.cost_file))
        if models != (0 if self.milliseconds is None else 1):
            raise ValueError("milliseconds need one cost model (cost or cost_file), tokens none")
        return self


class EvaluateConfig(Section):
    """What is scored, against which pools, and how sure the figures are."""

    split: Literal["val", "test"] = Field("test", description="Split whose queries are scored.")
    blend_split: Literal["train", "val"] = Field(
        "val",
        description="Split on which the blend of direct and reasoned vector and the route's threshold "
        "are chosen.",
    )
    route_budget: RouteBudget | None = Field(
        None, description="What the system `budget` may cost; none takes the threshold that finds most."
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
