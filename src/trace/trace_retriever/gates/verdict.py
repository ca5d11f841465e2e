"""The outcome of a gate: its checks, and whether they let the model pass."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        name: of the kind of check, such as `floor`.
        scope: what it was applied to: a pair, "average", "data", "all queries".
        value: the figure that was judged.
        interval: its 95 % interval, two-sided; None where it has none.
        threshold: what the figure was held against.
        champion: the champion's (or baseline's) figure.
        p_value: of a test, after Holm's correction where there are several.
        passed: None when the check does not apply.
        why: in words.
    """

    name: str
    scope: str
    passed: bool | None
    why: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    threshold: float | None = None
    champion: float | None = None
    p_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All checks of a model.

    Attributes:
        checks: in the order of the report.
        headline: pair → headline figure of the judged system; "average" → their mean.
        evaluation: digest of the evaluation that was judged.
        champion: digest of the champion's; None without one.
        validation: digest of the `validation.json` that was read.
        policy: the params section it was judged by.
    """

    checks: Sequence[Check]
    headline: dict[str, float]
    evaluation: str
    champion: str | None
    validation: str
    policy: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether no check said no."""
        return not self.failed

    @property
    def failed(self) -> list[Check]:
        """The checks that said no."""
        return [check for check in self.checks if check.passed is False]

    def as_json(self) -> dict[str, Any]:
        """The content of `verdict.json`."""
        return {
            "passed": self.passed,
            "failed": [f"{check.name}: {check.scope}" for check in self.failed],
            "checks": [asdict(check) | {"interval": _listed(check.interval)} for check in self.checks],
            "headline": self.headline,
            "evaluation": self.evaluation,
            "champion": self.champion,
            "validation": self.validation,
            "policy": self.policy,
        }


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
