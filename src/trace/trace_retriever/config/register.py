"""Params of the step `register`."""

from pydantic import Field

from trace_retriever.config.base import Section

SEMVER = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$"


class RegisterConfig(Section):
    """How the model is called."""

    name: str = Field("trace", pattern=r"^[a-z][a-z0-9-]{0,62}[a-z0-9]$", description="Name of the artifact.")
    version: str = Field("0.1.0", pattern=SEMVER, description="Its version: major.minor.patch.")
    license: str = Field(
        "apache-2.0", min_length=1, description="Licence of the weights, as the Hub names it."
    )
    description: str = Field(
        "A universal multimodal retriever that reasons before it encodes where a query needs it.",
        min_length=1,
        description="One line for the card.",
    )
    data: str = Field(
        "OpenMoji benchmark made by `trace prepare`. Pictures: OpenMoji, the open-source emoji and icon "
        "project, licence CC BY-SA 4.0 (https://openmoji.org).",
        min_length=1,
        description="What the model was trained on, with its licence and attribution.",
    )
