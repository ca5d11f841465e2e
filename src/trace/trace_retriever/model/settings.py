"""What a TRACE model directory says about itself beyond its weights: `trace.json`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trace_retriever.errors import CheckpointError
from trace_retriever.io.files import read_json, write_json
from trace_retriever.io.jsonl import describe

EMB_TOKEN = "<|emb|>"
FILE = "trace.json"


class Settings(BaseModel):
    """How a model is to be prompted and read; stored with it, so that training and serving agree.

    Attributes:
        kind: a backbone knows no retrieval yet; an encoder never reasons; a trace model routes by itself.
        max_prompt_tokens: longer texts are cut to fit, the picture's tokens counted in.
        max_trace_tokens: where a trace that does not end is cut (and flagged).
        max_pixels, min_pixels: a picture is scaled into this range; they override the image processor's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["backbone", "trace", "encoder"] = "backbone"
    emb_token: str = EMB_TOKEN
    max_prompt_tokens: int = Field(2048, ge=8)
    max_trace_tokens: int = Field(320, ge=1)
    min_pixels: int = Field(56 * 56, ge=1)
    max_pixels: int = Field(28 * 28 * 1280, ge=1)

    def save(self, directory: Path) -> None:
        """Write `trace.json` into a model directory."""
        write_json(directory / FILE, self.model_dump(mode="json"))

    @classmethod
    def load(cls, directory: Path) -> "Settings":
        """Read `trace.json`.

        Raises:
            CheckpointError: it is missing or breaks its schema.
        """
        path = directory / FILE
        if not path.is_file():
            raise CheckpointError(
                "not a TRACE model directory: no trace.json",
                where=directory,
                remedy="run `trace backbone` on it",
            )
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            raise CheckpointError(describe(error), where=path) from None
