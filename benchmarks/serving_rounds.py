"""Rounds of traffic for a server: without load, at capacity, and open at what it sustains, one by one.

A machine that others share is now fast and now slow: what is to be compared is measured within seconds, again
and again, and the comparison is the rounds' median.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Any

import numpy as np
from serving_traffic import Load, Question, Route, closed, mixed, opened

PATH = "/v2/models/trace-retriever/infer"
CLIENTS = 48  # of the closed loop: as many rows as have a slot or wait for one
SHARES = (0.6, 0.8)  # of that rate, at which open traffic is measured too
STEP = 0.05  # by which the rate of open traffic goes down until nothing is refused
Questions = dict[Route, list[Question]]


@dataclass(frozen=True)
class Round:
    """Stretches of traffic within a minute or so.

    Attributes:
        alone: simple queries, one at a time.
        full: `CLIENTS` clients that ask again when they have their answer.
        rate: of `opened`, a second: the most of which nothing was refused, twice in a row.
        opened: open traffic at that rate, the second time.
        below: open traffic at `SHARES` of the rate.
    """

    alone: Load
    full: Load
    rate: float
    opened: Load
    below: dict[float, Load]

    def ratio(self, load: Load) -> float:
        """p99 of simple queries in a stretch of traffic, times that without load."""
        return p99(load) / p99(self.alone)

    def figures(self) -> dict[str, Any]:
        """In short."""
        return {
            "alone_p99": p99(self.alone),
            "closed_per_second": self.full.figures()["answered_per_second"],
            "rate": self.rate,
            "refused": self.opened.figures()["refused"],
            "open_p99": p99(self.opened),
            "ratio": self.ratio(self.opened),
            **{f"ratio at {share:g}": self.ratio(load) for share, load in self.below.items()},
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
    rate, opened = _sustained(url, questions, full.figures()["answered_per_second"], seconds, seed + 2)
    below = {share: stream(url, questions, share * rate, seconds, seed + 4) for share in SHARES}
    return Round(alone, full, rate, opened, below)


def stream(url: str, questions: Questions, rate: float, seconds: float, seed: int) -> Load:
    """Open traffic, half of it complex."""
    asked = mixed(questions, 2 * max(10, round(rate * seconds / 2)), seed)
    return asyncio.run(opened(url, PATH, asked, rate, seed))


def _sustained(
    url: str, questions: Questions, highest: float, seconds: float, seed: int
) -> tuple[float, Load]:
    """The highest rate up to `highest` of which nothing is refused twice in a row, and the second stretch."""
    for part in np.arange(1.0, STEP, -STEP).tolist():
        for number in range(2):
            load = stream(url, questions, part * highest, seconds, seed + 100 * number)
            if load.figures()["refused"]:
                break
        else:
            return part * highest, load
    raise RuntimeError(f"something is refused even at {STEP:.0%} of {highest:.0f} requests a second")


def pooled(loads: Sequence[Load]) -> dict[str, Any]:
    """The figures of several stretches as one."""
    whole = Load(list(chain(*(load.outcomes for load in loads))), sum(load.seconds for load in loads))
    return whole.figures()


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """All rounds, and the medians of what they compare."""
    figures = [one.figures() for one in rounds]
    middle = {key: median(row[key] for row in figures) for key in figures[0]}
    return {"rounds": figures, "median": middle}
