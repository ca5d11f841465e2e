"""Params that `route`, `synthesize` and `filter` share: which teacher answers, and how it is reached."""

from typing import Literal

from pydantic import Field

from trace_retriever.config.base import Section


class SceneTeacherParams(Section):
    """The offline teacher of a made benchmark, which reads the scene behind the picture."""

    error_rate: float = Field(0.03, ge=0, le=1, description="Share of traces written wrong, to be found.")
    error_part: Literal["either", "reasoning", "answer"] = Field(
        "either",
        description="What is wrong in them: a teacher who knows the target errs in the reasoning alone.",
    )
    seed: int = Field(0, ge=0, description="Of the draw of wrong traces.")


class OpenaiTeacherParams(Section):
    """Any endpoint that speaks OpenAI's chat completions, pictures as data URLs."""

    base_url: str = Field("https://api.openai.com/v1", min_length=1, description="Root of the API.")
    model: str = Field("", description="Model name as the endpoint knows it; has no default that works.")
    api_key_env: str = Field("OPENAI_API_KEY", description="Environment variable that holds the key.")
    concurrency: int = Field(8, ge=1, le=512, description="Requests in flight at once.")
    requests_per_minute: float = Field(0.0, ge=0, description="Most requests a minute; 0 for no limit.")
    token_budget: int = Field(
        0, ge=0, description="Tokens that one run may spend; running again continues. 0 for no limit."
    )
    attempts: int = Field(6, ge=1, le=20, description="Tries of a request that meets 429, 5xx or a timeout.")
    backoff_seconds: float = Field(1.0, ge=0, description="Wait before the second try; doubles each time.")
    backoff_max_seconds: float = Field(
        60.0, ge=0, description="Longest wait, a server's Retry-After included."
    )
    timeout_seconds: float = Field(120.0, gt=0, description="Longest time for one try.")
    image_side: int = Field(
        1024, ge=16, description="Pictures are scaled down to this many pixels on a side."
    )
    limit_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="The name that the endpoint has for the bound on an answer's tokens."
    )


class TransformersTeacherParams(Section):
    """A local vision-language checkpoint (Qwen2-VL, Qwen2.5-VL, Qwen3-VL) with greedy decoding."""

    path: str = Field("", description="Checkpoint directory; required when this teacher is used.")
    device: str = Field("cpu", description="torch device, such as cpu or cuda:0.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Precision of the weights.")
    max_pixels: int = Field(1_003_520, ge=1024, description="Pictures are scaled down to this many pixels.")


class TeacherParams(Section):
    """Who answers: writes traces, judges complexity, verifies."""

    kind: Literal["scene", "openai", "transformers"] = Field("scene", description="Which teacher.")
    max_tokens: int = Field(512, ge=16, description="Longest answer, in the teacher's tokens.")
    max_failed_share: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Share of requests that may fail before the step stops, keeping its work.",
    )
    scene: SceneTeacherParams = SceneTeacherParams()
    openai: OpenaiTeacherParams = OpenaiTeacherParams()
    transformers: TransformersTeacherParams = TransformersTeacherParams()
