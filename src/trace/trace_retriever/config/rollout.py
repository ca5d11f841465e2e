"""Rollout: in which steps a version takes over the traffic, and what sends it back; `deploy/promotion.yaml`.

`trace deploy local` and the promotion pipeline go by these rules, both through `rollout.decision`.
"""

from typing import Self

from pydantic import Field, model_validator

from trace_retriever.config.base import Section


class SmokeRules(Section):
    """What a version must answer before it gets any traffic: reference queries, then a little load."""

    tolerance: float = Field(
        1e-3, gt=0.0, le=0.1, description="Largest difference of an embedding's component from the expected."
    )
    requests: int = Field(60, ge=1, le=100_000, description="Requests of the load check.")
    rate: float = Field(4.0, gt=0.0, le=1000.0, description="Requests a second, answered or not.")
    max_refused: float = Field(0.05, ge=0.0, le=1.0, description="Share that may be refused as too many.")
    timeout_seconds: float = Field(30.0, gt=0.0, le=600.0, description="Longest wait for an answer.")
    seed: int = Field(1, ge=0, description="Of the arrivals and of the order of queries.")


class RolloutRules(Section):
    """Section `rollout`. Shares are of requests; differences are the canary's share minus the champion's."""

    steps: tuple[int, ...] = Field(
        (5, 25, 50), min_length=1, description="Percent of the traffic in each step, rising; 100 comes after."
    )
    step_seconds: float = Field(60.0, ge=0.0, le=86400.0, description="Shortest length of a step.")
    max_step_seconds: float = Field(
        900.0, gt=0.0, le=604800.0, description="Longest; what is not shown to be good by then goes back."
    )
    poll_seconds: float = Field(5.0, gt=0.0, le=600.0, description="Time between looks at the metrics.")
    min_requests: int = Field(300, ge=20, description="Requests of the canary in a step before it may go on.")
    min_route_requests: int = Field(
        20, ge=5, description="Requests of a route, on both sides, before its latency is compared."
    )
    max_error_increase: float = Field(
        0.01, ge=0.0, lt=1.0, description="Largest difference in the share of errors and missed deadlines."
    )
    max_refusal_increase: float = Field(
        0.05, ge=0.0, lt=1.0, description="Largest difference in the share refused as too many."
    )
    latency_quantile: float = Field(0.99, gt=0.5, lt=1.0, description="Quantile of latency that is guarded.")
    max_latency_ratio: float = Field(
        1.5, ge=1.0, le=100.0, description="A request is slow above this times the champion's quantile."
    )
    max_slow_increase: float = Field(
        0.03, gt=0.0, lt=1.0, description="Largest difference in the share of slow requests, per route."
    )
    confidence: float = Field(
        0.95, ge=0.5, lt=1.0, description="One-sided, of each bound that must hold to go on."
    )
    alarm_confidence: float = Field(
        0.999,
        ge=0.5,
        lt=1.0,
        description="One-sided, of each bound that sends back; stricter, as it is looked at again and again.",
    )
    lost_after: int = Field(
        3, ge=1, le=100, description="Looks in a row without metrics of the canary that send it back."
    )
    ready_seconds: float = Field(600.0, gt=0.0, description="Longest wait until a version is ready.")
    smoke: SmokeRules = Field(SmokeRules(), description="Before any traffic.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or not 1 <= self.steps[0] <= self.steps[-1] <= 99:
            raise ValueError(f"steps must rise from at least 1 to at most 99 percent, not {list(self.steps)}")
        if self.max_step_seconds < self.step_seconds:
            raise ValueError("max_step_seconds is shorter than step_seconds")
        if self.alarm_confidence < self.confidence:
            raise ValueError("alarm_confidence must not be below confidence: it would send back by chance")
        return self
