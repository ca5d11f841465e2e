"""What we read from the published tables: each claim with its data, a sentence on what they say, a verdict.

Verdicts: `supported` by the published figures; `not supported`, where they speak against it or leave out what
it would need; `cannot tell`, where the difference is within what a test set of that size gives.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from trace_retriever.io.files import read_json
from trace_retriever.replay.intervals import Difference

Verdict = Literal["supported", "not supported", "cannot tell"]
RESULTS = Path("experiments/results/replay.json")


class Reading(BaseModel):
    """One claim, held against the published data.

    Attributes:
        key: a name for it.
        claim: what is said, by the paper or by a reader of it.
        data: the table, and the figures of it that count.
        reading: what they say, and why the verdict follows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    claim: str
    data: str
    reading: str
    verdict: Verdict


def load_readings(path: Path = RESULTS) -> list[Reading]:
    """The readings of a committed result file.

    Raises:
        DataError: the file is missing or is no JSON.
        ValidationError: an entry breaks the schema.
    """
    content: dict[str, Any] = read_json(path)
    return [Reading.model_validate(one) for one in content["readings"]]


def all_readings(folder: Path, engine: Mapping[str, Any]) -> list[Reading]:
    """Every reading.

    Args:
        folder: of the paper's tables.
        engine: the section `modes` of the engine's own benchmark.
    """
    from trace_retriever.replay import readings_ablations, readings_recall, readings_routing

    makers: list[Callable[[Path], Reading]] = [
        *readings_recall.READINGS,
        *readings_ablations.READINGS,
        *readings_routing.READINGS,
    ]
    return [*(make(folder) for make in makers), readings_routing.own_engine(engine)]


def points(value: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}"


def described(part: Difference) -> str:
    """A difference with its standard error, in percentage points."""
    return f"{points(part.value)} (standard error {100 * part.error:.2f})"
