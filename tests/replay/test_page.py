"""Page, plot and result file are current."""

from pathlib import Path

from trace_retriever.io.files import read_json
from trace_retriever.replay.page import page
from trace_retriever.replay.plot import write_plot
from trace_retriever.replay.readings import Reading, all_readings, load_readings


def test_the_page_is_what_the_results_say(root: Path) -> None:
    found = read_json(root / "experiments/results/replay.json")
    assert (root / "docs/paper-replay.md").read_text(encoding="utf-8") == page(found)


def test_the_results_are_what_the_tables_say(root: Path, paper: Path) -> None:
    modes = read_json(root / "benchmarks/results/engine.json")["sections"]["modes"]
    found = load_readings(root / "experiments/results/replay.json")
    assert found == all_readings(paper, modes)
    assert all(isinstance(one, Reading) for one in found)


def test_the_plot_is_drawn_the_same_each_time(paper: Path, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        write_plot(paper, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
