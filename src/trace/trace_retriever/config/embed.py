"""Params of the step `embed`."""

from typing import Literal

from pydantic import Field

from trace_retriever.config.base import Section


class EmbedConfig(Section):
    """Which pools and queries are encoded, and how."""

    splits: tuple[Literal["train", "val", "test"], ...] = Field(
        ("val", "test"), min_length=1, description="Splits whose queries and pools are encoded."
    )
    pairs: tuple[str, ...] = Field((), description="Pairs to encode, such as cirr_task7; none means all.")
    global_pool: bool = Field(True, description="Encode the union pool of each split too.")
    prompt_index: int = Field(0, ge=0, le=3, description="Which of a pair's instructions queries carry.")
    reason: Literal["always", "auto", "never"] = Field(
        "always",
        description="Which queries write a trace. With `always`, one pass serves every mode. "
        "An encoder-only model never does, whatever is set here.",
    )
    max_trace_tokens: int | None = Field(
        None, ge=1, description="Where a trace is cut; by default the model's own limit."
    )
    batch_tokens: int = Field(
        8192, ge=64, description="Tokens of a batch, padding and room for traces included."
    )
    chunk: int = Field(
        2048, ge=1, description="Items whose vectors are saved together; a kill loses one chunk at most."
    )
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="Where the model runs.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Type of the weights in memory.")
