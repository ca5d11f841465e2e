"""What was gated is what is served: the judged system as the route of the registered model."""

from pathlib import Path
from typing import Any

from trace_retriever.errors import DataError
from trace_retriever.model.settings import RouteSetting, Settings

EVERY, NONE = 0.0, 2.0  # every probability reaches the first threshold, none the second


def served_route(system: str, results: dict[str, Any], where: Path) -> RouteSetting | None:
    """The route with which a model does what the judged system did.

    Args:
        system: the one that the gate judged.
        results: the content of the evaluation's `results.json`, which holds the threshold of `budget`.
        where: that file, for errors.

    Returns:
        None for `auto`: the model's own first token decides.

    Raises:
        DataError: the system cannot be served by this model alone, or the results lack its threshold.
    """
    if system == "auto":
        return None
    if system in ("never", "always"):
        return RouteSetting(system=system, threshold=EVERY if system == "never" else NONE)
    if system != "budget":
        raise DataError(
            f"the gate judged {system!r}, which this model cannot be served as",
            where=where,
            remedy="set gate.system to auto, never, always or budget, and run `trace gate` again",
        )
    choice = results.get("budget")
    if not isinstance(choice, dict):
        raise DataError("no threshold of the system 'budget'", where=where, remedy="run `trace evaluate`")
    limited = choice["limit"] is not None
    return RouteSetting(
        system="budget",
        threshold=choice["threshold"],
        unit=choice["cost"]["unit"] if limited else None,
        limit=choice["limit"],
        split=choice["split"],
        expected=choice["expected"],
    )


def store_route(model: Path, route: RouteSetting | None) -> None:
    """Write a route into a model directory's `trace.json`; a file that says so already stays as it is."""
    settings = Settings.load(model)
    if settings.route != route:
        settings.model_copy(update={"route": route}).save(model)
