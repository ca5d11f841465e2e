"""Params of the step `gate`."""

from typing import Literal

from pydantic import Field

from trace_retriever.config.base import Section

System = Literal["auto", "never", "always", "oracle", "blend", "budget", "encoder"]


class FloorParams(Section):
    """Least headline figures (hit@k, k of the pair)."""

    average: float = Field(0.0, ge=0, le=1, description="Of the plain mean over pairs.")
    pair: float = Field(0.0, ge=0, le=1, description="Of each pair not named below.")
    pairs: dict[str, float] = Field({}, description="Pair → its own floor.")


class ChampionParams(Section):
    """Non-inferiority against the champion, by paired bootstrap over common queries."""

    margin: float = Field(0.05, gt=0, le=1, description="How much worse a pair's headline figure may be.")
    margins: dict[str, float] = Field({}, description="Pair → its own margin.")
    average_margin: float = Field(0.02, gt=0, le=1, description="How much worse the mean over pairs may be.")
    alpha: float = Field(
        0.05, gt=0, lt=0.5, description="Level of the one-sided tests, after Holm's correction."
    )
    resamples: int = Field(10_000, ge=1000, description="Bootstrap resamples.")
    system: System | None = Field(
        None, description="The champion's system that is compared with; none means the one that is judged."
    )
    min_common: float = Field(
        0.9, gt=0, le=1, description="Least share of a pair's queries that the champion answered too."
    )


class ReasoningParams(Section):
    """How often the model may and must reason, for pairs whose true route is known."""

    max_simple: float = Field(0.2, ge=0, le=1, description="Largest reasoning rate on a simple pair.")
    min_complex: float = Field(0.5, ge=0, le=1, description="Least reasoning rate on a complex pair.")


class CostParams(Section):
    """What reasoning may cost."""

    max_mean_tokens: float = Field(128.0, ge=0, description="Mean trace tokens a query, over all pairs.")
    max_truncated: float = Field(
        0.05, ge=0, le=1, description="Largest share of reasoning queries cut at the token limit."
    )


class GateConfig(Section):
    """When a model may be promoted."""

    system: System = Field("auto", description="The system whose figures are judged.")
    pool: Literal["local", "global"] = Field("local", description="The pools they were measured on.")
    floors: FloorParams = FloorParams()
    champion: ChampionParams = ChampionParams()
    reasoning: ReasoningParams = ReasoningParams()
    cost: CostParams = CostParams()
    must_beat_baseline: Literal["off", "point", "significant"] = Field(
        "off",
        description="On each complex pair the system is at least as good as `baseline`: not asked, "
        "by the figure, or its interval lies above 0.",
    )
    baseline: System = Field("encoder", description="The system to beat.")
    seed: int = Field(0, ge=0, description="Of bootstrap resampling.")
