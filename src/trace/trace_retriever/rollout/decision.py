"""Continue, advance or roll back: one pure function of both sides' figures, the rules and the time.

Each rule is about a difference of shares (canary minus champion): of failed, of refused, of slow requests.
Its confidence bounds are Newcombe's, from Wilson's intervals of both shares (R. G. Newcombe, Statistics in
Medicine 17, 1998, method 10). A rule is broken when even the lower bound is above what is allowed, holds when
even the upper one is not, and is open between: more requests are waited for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf, sqrt
from typing import Any

from trace_retriever.config.rollout import RolloutRules
from trace_retriever.rollout.metrics import FAILED, Latencies, Window


class Action(StrEnum):
    """What is to be done now."""

    CONTINUE = "continue"
    ADVANCE = "advance"
    ROLL_BACK = "roll back"


@dataclass(frozen=True)
class Check:
    """One rule, held against the figures.

    Attributes:
        name: `errors`, `refused`, or `slow <route>`.
        canary, champion: (how many, of how many).
        low, high: bounds of the difference of shares: `low` at the alarm's confidence, `high` at the other.
        allowed: the largest difference that is accepted.
        about: what was compared, for people.
    """

    name: str
    canary: tuple[int, int]
    champion: tuple[int, int]
    low: float
    high: float
    allowed: float
    about: str = ""

    @property
    def broken(self) -> bool:
        """Whether it is known to be violated."""
        return self.low > self.allowed

    @property
    def holds(self) -> bool:
        """Whether it is known to hold."""
        return self.high <= self.allowed

    def __str__(self) -> str:
        share = f"{self.canary[0]}/{self.canary[1]} of the canary, {self.champion[0]}/{self.champion[1]}"
        bounds = f"difference {self.low:+.3f} to {self.high:+.3f}, allowed {self.allowed:+.3f}"
        return f"{self.name}{self.about}: {share} of the champion; {bounds}"


@dataclass(frozen=True)
class Decision:
    """What is to be done, why, and the figures it rests on."""

    action: Action
    reason: str
    checks: tuple[Check, ...] = ()

    def figures(self) -> dict[str, Any]:
        """For logs: check → counts and bounds."""
        return {
            check.name: {
                "canary": list(check.canary),
                "champion": list(check.champion),
                "low": round(check.low, 5),
                "high": round(check.high, 5),
                "allowed": check.allowed,
            }
            for check in self.checks
        }


def decide(champion: Window | None, canary: Window, rules: RolloutRules, elapsed: float) -> Decision:
    """Decide on a step.

    Args:
        champion: what it did in this step; None where nothing is in production: then the canary's own shares
            are held against the rules, and its latency against nothing.
        canary: what it did in this step.
        rules: of the rollout.
        elapsed: seconds since the step began.

    Returns:
        Roll back once a rule is broken, or when the step's longest time is over; advance when all rules hold
        with enough requests and the step's shortest time is over; else continue.
    """
    checks = tuple(_checks(champion, canary, rules))
    if broken := [check for check in checks if check.broken]:
        return Decision(Action.ROLL_BACK, "; ".join(map(str, broken)), checks)
    open_ = _open(champion, canary, checks, rules)
    if not open_ and elapsed >= rules.step_seconds:
        return Decision(Action.ADVANCE, f"all rules hold over {canary.requests} requests", checks)
    if open_ and elapsed >= rules.max_step_seconds:
        reason = f"not shown to be good within {rules.max_step_seconds:g} s: {'; '.join(open_)}"
        return Decision(Action.ROLL_BACK, reason, checks)
    return Decision(Action.CONTINUE, "; ".join(open_) or "the step's shortest time is not over", checks)


def _open(
    champion: Window | None, canary: Window, checks: tuple[Check, ...], rules: RolloutRules
) -> list[str]:
    """What is still to be shown."""
    found = []
    if canary.requests < rules.min_requests:
        found.append(f"{canary.requests} of {rules.min_requests} requests")
    if champion is not None and not champion.requests:
        found.append("no request of the champion to compare with")
    return found + [str(check) for check in checks if not check.holds]


def _checks(champion: Window | None, canary: Window, rules: RolloutRules) -> Iterator[Check]:
    for name, outcomes, allowed in (
        ("errors", FAILED, rules.max_error_increase),
        ("refused", ("refused",), rules.max_refusal_increase),
    ):
        theirs = (champion.count(*outcomes), champion.requests) if champion else (0, 0)
        mine = (canary.count(*outcomes), canary.requests)
        yield _check(name, mine, theirs, allowed, rules)
    if champion is not None:
        for route in sorted({*champion.latencies} & {*canary.latencies}):
            yield from _slow(route, champion.latencies[route], canary.latencies[route], rules)


def _slow(route: str, champion: Latencies, canary: Latencies, rules: RolloutRules) -> Iterator[Check]:
    """Slow is what takes longer than a bound that the champion's quantile, with the ratio, is below."""
    if min(champion.total, canary.total) < rules.min_route_requests:
        return
    limit = champion.next_bound(champion.quantile(rules.latency_quantile) * rules.max_latency_ratio)
    if limit == inf:  # past the last bucket nothing can be told apart
        return
    mine, theirs = ((round(side.above(limit)), round(side.total)) for side in (canary, champion))
    yield _check(f"slow {route}", mine, theirs, rules.max_slow_increase, rules, f" (above {limit:g} s)")


def _check(
    name: str,
    canary: tuple[int, int],
    champion: tuple[int, int],
    allowed: float,
    rules: RolloutRules,
    about: str = "",
) -> Check:
    low, _ = difference_bounds(canary, champion, rules.alarm_confidence)
    _, high = difference_bounds(canary, champion, rules.confidence)
    return Check(name, canary, champion, low, high, allowed, about)


def difference_bounds(
    first: tuple[int, int], second: tuple[int, int], confidence: float
) -> tuple[float, float]:
    """Bounds of a difference of two shares, each one-sided at a confidence.

    Args:
        first, second: (how many, of how many); of none, the share may be anything. A second of (0, 0) stands
            for no other side: its share is 0 for certain.
        confidence: of each bound.

    Returns:
        Lower and upper bound of the first share minus the second.
    """
    p, low, high = _wilson(*first, confidence)
    q, other_low, other_high = _wilson(*second, confidence) if second != (0, 0) else (0.0, 0.0, 0.0)
    below = sqrt((p - low) ** 2 + (other_high - q) ** 2)
    above = sqrt((high - p) ** 2 + (q - other_low) ** 2)
    return max(-1.0, p - q - below), min(1.0, p - q + above)


def _wilson(count: int, total: int, confidence: float) -> tuple[float, float, float]:
    """A share and its Wilson bounds, each one-sided at a confidence."""
    from scipy.stats import binomtest

    if not total:
        return 0.0, 0.0, 1.0
    low, high = (
        binomtest(count, total, alternative=side).proportion_ci(confidence, method="wilson")
        for side in ("greater", "less")
    )
    return count / total, float(low.low), float(high.high)
