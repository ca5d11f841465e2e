"""What every params section shares: unknown keys refused, no silent conversion, frozen once read."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of a params section: a typo in a key or a wrong type is an error, never a default."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=True)
