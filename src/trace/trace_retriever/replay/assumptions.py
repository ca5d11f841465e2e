"""What the dry run assumes and the paper does not say: `experiments/paper/run.yaml` as types."""

from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from trace_retriever.config.base import Section
from trace_retriever.errors import ConfigError
from trace_retriever.io.jsonl import describe

RUN = Path("experiments/paper/run.yaml")


class TraceLengths(Section):
    """Mean tokens of a trace, three guesses."""

    low: int = Field(ge=0)
    middle: int = Field(ge=0)
    high: int = Field(ge=0)


class Tokens(Section):
    """Tokens of what queries and candidates are made of.

    Attributes:
        query_frame: chat template and instruction.
        candidate_frame: chat template alone.
        caption: a caption, title or change request.
        passage: a passage of an encyclopedia.
        picture: visual tokens of a picture.
        trace: of a complex query.
    """

    query_frame: int = Field(ge=1)
    candidate_frame: int = Field(ge=1)
    caption: int = Field(ge=0)
    passage: int = Field(ge=0)
    picture: int = Field(ge=0)
    trace: TraceLengths


class Shares(Section):
    """A range of shares of one."""

    low: float = Field(gt=0, le=1)
    high: float = Field(gt=0, le=1)


class Gpu(Section):
    """A data sheet: dense bfloat16 operations a second, bytes a second, 10^9 bytes."""

    flops: float = Field(gt=0)
    bandwidth: float = Field(gt=0)
    gigabytes: float = Field(gt=0)


class Assumptions(Section):
    """The whole file.

    Attributes:
        padding: positions of a padded batch over its tokens.
        mfu: useful operations over the data sheet's peak.
        price: of a GPU hour, in any currency; a parameter.
    """

    tokens: Tokens
    padding: float = Field(ge=1)
    mfu: Shares
    price: float | None = Field(None, ge=0)
    devices: dict[str, Gpu] = Field(min_length=1)


def read_assumptions(path: Path = RUN) -> Assumptions:
    """Read the file.

    Raises:
        ConfigError: it is missing, no YAML, or breaks the schema.
    """
    try:
        return Assumptions.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ConfigError("assumptions not found", where=path, remedy="name them with --run") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", where=path) from None
    except ValidationError as error:
        raise ConfigError(describe(error), where=path) from None
