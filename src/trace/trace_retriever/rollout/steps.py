"""The steps of a rollout: more and more traffic while the rules hold, and all of it back once they do not.

One loop for the laptop and the cluster; what differs is the `Target`: where metrics come from, and how
traffic is split.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from trace_retriever.config.rollout import RolloutRules
from trace_retriever.rollout.decision import Action, Decision, decide
from trace_retriever.rollout.errors import ChampionLost, Unreachable
from trace_retriever.rollout.metrics import Latencies, Snapshot, Window, window

Side = Literal["champion", "canary"]
Say = Callable[[str], None]


class Target(Protocol):
    """Two versions behind a split."""

    @property
    def has_champion(self) -> bool:
        """Whether there is a champion to compare with."""

    def snapshot(self, side: Side) -> Snapshot:
        """A side's counters now; raises `Unreachable` where they cannot be read."""

    def gone(self, side: Side) -> str | None:
        """Why a side is known to be gone for good, such as a process that ended; None while it may answer."""

    def set_percent(self, percent: int) -> None:
        """Give the canary this part of the traffic."""


@dataclass(frozen=True)
class Outcome:
    """How the steps ended.

    Attributes:
        passed: whether the canary may have all of the traffic.
        reason: of the last decision.
        percent: of the last step.
        figures: per step, what the decision rested on: for the registry's log.
    """

    passed: bool
    reason: str
    percent: int
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Clock:
    """Time as a rollout sees it; tests have their own."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def run_steps(target: Target, rules: RolloutRules, say: Say, clock: Clock | None = None) -> Outcome:
    """Run all steps; the traffic is left as the last step had it, or at 0 where a rule was broken.

    Args:
        target: both sides; without a champion there is one step, of all of the traffic.
        rules: of the rollout.
        say: takes a line of progress.
        clock: time.

    Raises:
        ChampionLost: there is nothing to compare with any more; the canary has no traffic.
    """
    clock, figures = clock or Clock(), {}
    outcome = Outcome(False, "no step", 0)
    for percent in rules.steps if target.has_champion else (100,):
        say(f"step {percent} %: begins")
        target.set_percent(percent)
        try:
            decision, canary = _step(target, rules, say, clock, percent)
        except ChampionLost:
            target.set_percent(0)
            raise
        figures[str(percent)] = {"requests": canary.requests, **decision.figures()}
        passed = decision.action is Action.ADVANCE
        outcome = Outcome(passed, decision.reason, percent, figures)
        say(f"step {percent} %: {'passed' if passed else 'failed'}: {decision.reason}")
        if not passed:
            target.set_percent(0)
            break
    return outcome


def _step(
    target: Target, rules: RolloutRules, say: Say, clock: Clock, percent: int
) -> tuple[Decision, Window]:
    began, reader, canary = clock.now(), _Reader(target, rules), Window()
    while True:
        if why := reader.lost("canary"):
            return Decision(Action.ROLL_BACK, why), canary
        if target.has_champion and (why := reader.lost("champion")):
            raise ChampionLost(why, remedy="nothing is decided: start the same rollout again")
        if found := reader.read():
            champion, canary = found
            decision = decide(champion, canary, rules, clock.now() - began)
            say(f"step {percent} %: {describe(champion, canary)}")
            if decision.action is not Action.CONTINUE:
                return decision, canary
        elif clock.now() - began >= rules.max_step_seconds:
            why = f"metrics could not be compared within {rules.max_step_seconds:g} s"
            return Decision(Action.ROLL_BACK, why), canary
        clock.sleep(rules.poll_seconds)


class _Reader:
    """Both sides' windows since a step began; a side that does not answer is asked again for a while."""

    def __init__(self, target: Target, rules: RolloutRules) -> None:
        self._target, self._rules = target, rules
        self._sides: tuple[Side, ...] = ("champion", "canary") if target.has_champion else ("canary",)
        self._first: dict[Side, Snapshot] = {}
        self._misses: dict[Side, int] = dict.fromkeys(self._sides, 0)
        self._why: dict[Side, str] = {}

    def lost(self, side: Side) -> str | None:
        """Why a side is given up."""
        if why := self._target.gone(side):
            return f"the {side} is gone: {why}"
        if self._misses[side] >= self._rules.lost_after:
            return f"no metrics of the {side} in {self._misses[side]} looks: {self._why[side]}"
        return None

    def read(self) -> tuple[Window | None, Window] | None:
        """Champion's and canary's window; None where one cannot be read now, or only began to be."""
        now: dict[Side, Snapshot] = {}
        for side in self._sides:
            try:
                now[side] = self._target.snapshot(side)
                self._misses[side] = 0
            except Unreachable as error:
                self._misses[side] += 1
                self._why[side] = error.problem
        fresh = [side for side in now if side not in self._first]
        self._first.update({side: now[side] for side in fresh})
        if fresh or len(now) < len(self._sides):
            return None
        windows = {side: window(self._first[side], now[side]) for side in now}
        return windows.get("champion"), windows["canary"]


def describe(champion: Window | None, canary: Window) -> str:
    """Both sides in a line for people: requests, failures, refusals, p99 per route."""
    sides = [("canary", canary)] + ([("champion", champion)] if champion else [])
    return "; ".join(f"{name} {_side(one)}" for name, one in sides)


def _side(one: Window) -> str:
    text = f"{one.requests} requests, {one.count('error', 'deadline')} failed, {one.count('refused')} refused"
    routes = [
        f"{route} p99 {_seconds(found)}" for route, found in sorted(one.latencies.items()) if found.total
    ]
    return ", ".join([text, *routes])


def _seconds(found: Latencies) -> str:
    bound = found.quantile(0.99)
    return f"<= {bound:g} s" if bound != float("inf") else "past the last bucket"
