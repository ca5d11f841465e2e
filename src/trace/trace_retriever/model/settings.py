"""What a TRACE model directory says about itself beyond its weights: `trace.json`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trace_retriever.errors import CheckpointError
from trace_retriever.io.files import read_json, write_json
from trace_retriever.io.jsonl import describe

EMB_TOKEN = "<|emb|>"
MARK = ":"  # the sign that opens a part of a trace, as in "target : ..."
FILE = "trace.json"


# As in config.train, which is not imported: a step that only loads a model does not depend on those params.
Position = Literal["before_emb", "emb", "structure", "mean_trace", "mean_all"]
CandidateSide = Literal["raw", "answer", "full"]
_ABLATIONS = {"position", "candidates"}


class RouteSetting(BaseModel):
    """When a registered model reasons: the way that its gate judged; see docs/adr/0008.

    Attributes:
        system: the judged system.
        threshold: a query is embedded at once if P(`<|emb|>`) reaches this (0: always at once; above 1:
            never); None leaves it to the model's most probable first token.
        unit, limit: the budget behind the threshold, a mean over pairs; None where there was none.
        split: the split that chose it.
        expected: what it gave there: headline, reasoning_rate, trace_tokens, cost.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: Literal["never", "always", "budget"]
    threshold: float | None = Field(ge=0)
    unit: Literal["tokens", "milliseconds"] | None = None
    limit: float | None = Field(None, ge=0)
    split: str | None = None
    expected: dict[str, float] = {}


class Settings(BaseModel):
    """How a model is to be prompted and read; stored with it, so that training and serving agree.

    Attributes:
        kind: a backbone knows no retrieval yet; an encoder never reasons; a trace model routes by itself.
        max_prompt_tokens: longer texts are cut to fit, the picture's tokens counted in.
        max_trace_tokens: where a trace that does not end is cut (and flagged).
        max_pixels, min_pixels: a picture is scaled into this range; they override the image processor's.
        route: when it reasons under `auto`; None leaves it to the model's most probable first token.
        position: where its embedding is read, if not before `<|emb|>`.
        candidates: "raw" where candidates never reason, as in the paper; else they do before each embedding.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["backbone", "trace", "encoder"] = "backbone"
    emb_token: str = EMB_TOKEN
    max_prompt_tokens: int = Field(2048, ge=8)
    max_trace_tokens: int = Field(320, ge=1)
    min_pixels: int = Field(56 * 56, ge=1)
    max_pixels: int = Field(28 * 28 * 1280, ge=1)
    route: RouteSetting | None = None
    position: Position = "before_emb"
    candidates: CandidateSide = "raw"

    @property
    def route_threshold(self) -> float | None:
        """What P(`<|emb|>`) is held against; None where the most probable first token decides."""
        return None if self.route is None else self.route.threshold

    def deployed(self) -> dict[str, Any]:
        """What a deployable model's settings say, for JSON: all but those of ablations."""
        return self.model_dump(mode="json", exclude=_ABLATIONS)

    def check_deployable(self, where: Path | None = None) -> None:
        """Refuse the models of ablations, which only the experiments know how to read.

        Raises:
            CheckpointError: its embedding is read elsewhere than before `<|emb|>`, or candidates reason.
        """
        if self.position != "before_emb" or self.candidates != "raw":
            raise CheckpointError(
                f"an ablation, which only experiments read (position: {self.position}, "
                f"candidates: {self.candidates})",
                where=where,
                remedy="train with train.position: before_emb and train.candidates: raw",
            )

    def save(self, directory: Path) -> None:
        """Write `trace.json` into a model directory; what only some models have, only where it is set."""
        rare = {"route"} | _ABLATIONS
        without = {name for name in rare if getattr(self, name) == type(self).model_fields[name].default}
        write_json(directory / FILE, self.model_dump(mode="json", exclude=without))

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
