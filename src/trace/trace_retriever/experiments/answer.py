"""What a question comes to: a claim, what was found, tables and drawings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Attributes:
        number: its number among the ten.
        title: a few words.
        claim: what the paper says or implies.
        verdict: what became of it here, a word or two.
        finding: one sentence with the figure that decides, for the README.
        paragraphs: what to know beside it.
        tables: caption and rows.
        drawings: caption and figure.
        seeds: how many training seeds are behind it.
    """

    number: int
    title: str
    claim: str
    verdict: str
    finding: str
    seeds: int
    paragraphs: Sequence[str] = ()
    tables: "Sequence[tuple[str, pd.DataFrame]]" = ()
    drawings: "Sequence[tuple[str, Figure]]" = field(default=(), repr=False)
