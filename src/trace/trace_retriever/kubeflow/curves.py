"""The curves of a training step as one page."""

from pathlib import Path
from typing import TYPE_CHECKING

from trace_retriever.io.files import write_atomic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def write_curves(report: Path, page_path: Path, title: str) -> None:
    """Draw every figure that the step logged (`curves/plots/metrics/**.tsv`) into one HTML page.

    Args:
        report: the step's report directory.
        page_path: the page to write; it says so when the step logged nothing.
        title: its heading.
    """
    import pandas as pd

    from trace_retriever.io.html import Section, figure, page, paragraph

    root = report / "curves/plots/metrics"
    sections = []
    for file in sorted(root.rglob("*.tsv")):
        name = file.relative_to(root).with_suffix("").as_posix()
        drawing = _draw(pd.read_csv(file, sep="\t"), name)
        sections.append(Section(name, figure(drawing, f"{name} by update")))
    if not sections:
        sections = [Section("Curves", paragraph("This step logged none: it trained nothing."))]
    write_atomic(page_path, page(title, sections))


def _draw(points: "pd.DataFrame", name: str) -> "Figure":
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(6, 2.5))
    axes = drawing.subplots()
    axes.plot(points["step"], points[points.columns[-1]], marker="." if len(points) < 40 else "")
    axes.set_xlabel("update")
    axes.set_ylabel(name)
    axes.grid(alpha=0.3)
    return drawing
