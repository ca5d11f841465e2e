"""The part of KFP's artifacts that component code uses; KFP itself is imported by components only."""

from typing import Any, Protocol


class Artifact(Protocol):
    """An input or output of a component.

    Attributes:
        path: file or directory.
        uri: where it is kept.
        metadata: shown beside it.
    """

    path: str
    uri: str
    metadata: dict[str, Any]
