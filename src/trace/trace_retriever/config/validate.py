"""Params of the step `validate`."""

from typing import Literal

from pydantic import Field

from trace_retriever.config.base import Section


class TextParams(Section):
    """Bounds on texts, in characters."""

    query_min: int = Field(1, ge=0, description="Shortest text of a query that has one.")
    query_max: int = Field(2000, ge=1, description="Longest text of a query.")
    candidate_min: int = Field(1, ge=0, description="Shortest text of a candidate that has one.")
    candidate_max: int = Field(20000, ge=1, description="Longest text of a candidate.")


class ImageParams(Section):
    """Which pictures are opened, and what they may be at most."""

    sample: int = Field(20000, ge=0, description="Pictures opened, drawn by seed; 0 opens all.")
    seed: int = Field(0, ge=0, description="Of the draw.")
    max_bytes: int = Field(20_000_000, ge=1, description="Largest file.")
    max_pixels: int = Field(50_000_000, ge=1, description="Most pixels, checked before decoding.")
    min_side: int = Field(8, ge=1, description="Shortest side, in pixels.")


class ReachabilityParams(Section):
    """Which share of a pair's positives must lie in a pool."""

    min_local: float = Field(1.0, ge=0, le=1, description="In the pair's own pool.")
    min_global: float = Field(1.0, ge=0, le=1, description="In the split's global pool.")
    siblings: tuple[str, ...] = Field(
        ("oven", "infoseek"), description="Data sets whose positives lie in each other's pools."
    )
    siblings_min_local: float = Field(0.05, ge=0, le=1, description="`min_local` of these data sets.")


class LeakParams(Section):
    """Which share of the test queries may be known from train."""

    by: Literal["content", "path"] = Field(
        "content", description="Pictures are equal by digest of their bytes, or by path (for terabytes)."
    )
    max_same_query: float = Field(0.0, ge=0, le=1, description="Same picture (if any) and same text.")
    max_same_picture: float = Field(0.0, ge=0, le=1, description="Same picture, whatever the text.")
    max_same_scene: float = Field(
        0.0, ge=0, le=1, description="Same `scene` in the records' src_content (made benchmarks)."
    )
    max_known_positive: float = Field(
        0.0, ge=0, le=1, description="A positive's picture is a train query's or a train positive's."
    )


class RouteParams(Section):
    """How many train queries are labelled complex."""

    min_complex: float = Field(0.05, ge=0, le=1, description="Least share of complex train queries.")
    max_complex: float = Field(0.95, ge=0, le=1, description="Largest share of complex train queries.")


class TraceParams(Section):
    """Bounds on kept traces, in words."""

    reasoning_min: int = Field(2, ge=0, description="Shortest reasoning.")
    reasoning_max: int = Field(256, ge=1, description="Longest reasoning.")
    answer_min: int = Field(1, ge=0, description="Shortest answer.")
    answer_max: int = Field(64, ge=1, description="Longest answer.")
    min_kept: float = Field(
        0.1, ge=0, le=1, description="Least share of complex train queries that kept a trace."
    )


class DriftParams(Section):
    """How far the data may move from the previous version."""

    max_js: float = Field(
        0.2, ge=0, le=1, description="Largest Jensen-Shannon distance (base 2) of a category's distribution."
    )
    max_ks: float = Field(0.2, ge=0, le=1, description="Largest Kolmogorov-Smirnov statistic of a number.")


class ValidateConfig(Section):
    """What the data must be before anything is trained on it."""

    max_positives: int = Field(1000, ge=1, description="Most positives of a query.")
    text: TextParams = TextParams()
    images: ImageParams = ImageParams()
    reachability: ReachabilityParams = ReachabilityParams()
    leak: LeakParams = LeakParams()
    routes: RouteParams = RouteParams()
    traces: TraceParams = TraceParams()
    drift: DriftParams = DriftParams()
