"""Rounds of traffic for a server: without load, at capacity, and open at what it sustains, one by one.

A machine that others share is now fast and now slow: what is to be compared is measured within seconds, again
and again, and the comparison is the rounds' median.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Any

from serving_traffic import Load, Question, Route, closed, mixed, opened

PATH = "/v2/models/trace-retriever/infer"
CLIENTS = 48  # of the closed loop: as many rows as have a slot or wait for one
STEP = 0.05  # by which the rate of open traffic goes down until nothing is refused
Questions = dict[Route, list[Question]]


@dataclass(frozen=True)
class Round:
    """Stretches of traffic within a minute or so.

    Attributes:
        alone: simple queries, one at a time.
        full: `CLIENTS` clients that ask again when they have their answer.
        rate: of `opened`, a second: the most of which nothing was refused when it was looked for.
        opened: open traffic at that rate, anew.
    """

    alone: Load
    full: Load
    rate: float
    opened: Load

    @property
    def ratio(self) -> float:
        """p99 of simple queries in open traffic, times that without load."""
        return p99(self.opened) / p99(self.alone)

    def figures(self) -> dict[str, Any]:
        """In short."""
        return {
            "alone_p99": p99(self.alone),
            "closed_per_second": self.full.figures()["answered_per_second"],
            "rate": self.rate,
            "refused": self.opened.figures()["refused"],
            "open_p99": p99(self.opened),
            "ratio": self.ratio,
        }


def p99(load: Load) -> float:
    """Of the simple queries that were answered, in milliseconds."""
    found: float = load.figures()["milliseconds"]["simple"].get("p99", float("inf"))
    return found


def play(url: str, questions: Questions, count: int, seconds: float, seed: int) -> Round:
    """One round; `count` queries in each closed loop, `seconds` of open traffic."""
    simple = [question for question in mixed(questions, 2 * count, seed) if question.route == "simple"]
    alone = asyncio.run(closed(url, PATH, simple, 1))
    full = asyncio.run(closed(url, PATH, mixed(questions, 2 * count, seed + 1), CLIENTS))
    highest = full.figures()["answered_per_second"]
    for rate in _falling(highest):
        if not stream(url, questions, rate, seconds, seed + 2).figures()["refused"]:
            break
    return Round(alone, full, rate, stream(url, questions, rate, seconds, seed + 3))


def stream(url: str, questions: Questions, rate: float, seconds: float, seed: int) -> Load:
    """Open traffic, half of it complex."""
    asked = mixed(questions, 2 * max(10, round(rate * seconds / 2)), seed)
    return asyncio.run(opened(url, PATH, asked, rate, seed))


def _falling(highest: float) -> Iterator[float]:
    part = 1.0
    while part > STEP:
        yield part * highest
        part -= STEP


def pooled(loads: Sequence[Load]) -> dict[str, Any]:
    """The figures of several stretches as one."""
    whole = Load(list(chain(*(load.outcomes for load in loads))), sum(load.seconds for load in loads))
    return whole.figures()


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """All rounds, and the medians of what they compare."""
    figures = [one.figures() for one in rounds]
    middle = {key: median(row[key] for row in figures) for key in figures[0]}
    return {"rounds": figures, "median": middle}
