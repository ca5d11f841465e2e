"""Training curves through dvclive, complete also after a resume, and apart from Git and DVC experiments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Curves:
    """Writes one `.tsv` a figure below `<directory>/plots/metrics/`, as training goes.

    Args:
        directory: where to; None writes nothing (all processes but the first).
        history: what was logged before a resume; written again, since a report directory starts empty.
    """

    def __init__(self, directory: Path | None, history: Sequence[Mapping[str, float]] = ()) -> None:
        self._live: Any = None
        if directory is not None:
            self._live = _detached_live(directory)
        for figures in history:
            self.log(figures)

    def log(self, figures: Mapping[str, float]) -> None:
        """Add a point to each curve; `figures["step"]` is its place."""
        if self._live is None:
            return
        self._live.step = int(figures["step"])
        for name in sorted(figures):
            if name != "step":
                self._live.log_metric(name, figures[name], timestamp=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None and error is None:
            self._live.make_summary()


def _detached_live(directory: Path) -> Any:
    """A dvclive logger that only writes files.

    Left to itself dvclive opens the Git and DVC repositories around it: it makes a DVC repository where there
    is none, adds files to Git within `dvc exp run`, and fails in a repository without commits.
    """
    from dvclive import Live

    class DetachedLive(Live):  # type: ignore[misc, unused-ignore]
        def _init_dvc(self) -> None:
            self._dvc_file = self._init_dvc_file()

    return DetachedLive(str(directory), save_dvc_exp=False, dvcyaml=False, report=None, monitor_system=False)
