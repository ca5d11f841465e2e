"""Errors written for people: what is wrong, where, and what to do about it."""

from pathlib import Path


class TraceError(Exception):
    """A mistake or a fault that the user can act on; the command line prints it without a traceback.

    Args:
        problem: what is wrong, with the offending value.
        where: the file (and line, key or record) it was found in.
        remedy: what to do about it.
    """

    exit_code = 1

    def __init__(self, problem: str, *, where: str | Path | None = None, remedy: str | None = None) -> None:
        self.problem = problem
        self.where = str(where) if where is not None else None
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [self.problem]
        if self.where:
            lines.append(f"  where:  {self.where}")
        if self.remedy:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)


class ConfigError(TraceError):
    """A parameter is unknown, of the wrong type, or out of bounds."""


class DataError(TraceError):
    """A record, file or directory is missing, malformed or out of bounds."""


class ImageError(DataError):
    """A picture is missing, truncated, too large, or lies outside its root."""


class CheckpointError(TraceError):
    """A model directory is incomplete, altered, or of a kind that is not accepted."""


class TeacherError(TraceError):
    """A teacher or verifier model cannot be reached or keeps giving unusable answers."""


class Refused(TraceError):
    """A check did its work and said no. The step's outputs and report are complete and stay.

    Args:
        problem: which checks said no.
        metrics: the step's figures, written like those of a step that passed.
        where, remedy: as in `TraceError`.
    """

    exit_code = 3

    def __init__(
        self,
        problem: str,
        *,
        metrics: dict[str, object],
        where: str | Path | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(problem, where=where, remedy=remedy)
        self.metrics = metrics


class ValidationFailed(Refused):
    """The data do not meet their expectations; the chain stops here."""


class GateFailed(Refused):
    """The model does not meet the thresholds for promotion."""
