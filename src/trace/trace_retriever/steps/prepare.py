"""The step `prepare`: an M-BEIR data set on disk, linked or made."""

from pathlib import Path
from typing import Any

from trace_retriever.config.prepare import OpenmojiSource, PrepareConfig
from trace_retriever.io.files import write_atomic
from trace_retriever.mbeir.checkout import link_checkout
from trace_retriever.mbeir.counts import count_dataset
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import SPLITS
from trace_retriever.step import Metrics


def prepare(
    config: PrepareConfig,
    *,
    out: Path,
    report: Path,
    work: Path,  # noqa: ARG001 (seconds: it starts over)
) -> Metrics:
    """Link an M-BEIR checkout into `out`, or make the OpenMoji benchmark there.

    Returns:
        Counts per pair (`count_dataset`), totals, and what the maker of the benchmark adds under `openmoji`.

    Raises:
        ConfigError, DataError, ImageError: see `link_checkout`.
    """
    made: Metrics = {}
    if config.source == "mbeir":
        link_checkout(config.mbeir, out)
    else:
        made = {"openmoji": _make(config.openmoji, out, report)}
    counts = count_dataset(Layout(out))
    totals = {
        f"{split}_queries": sum(pair["queries"].get(split, 0) for pair in counts["pairs"].values())
        for split in SPLITS
    }
    write_atomic(report / "summary.md", _summary(config.source, counts))
    return {"source": config.source, "pair_count": len(counts["pairs"]), **totals, **counts, **made}


def _make(config: OpenmojiSource, out: Path, report: Path) -> Metrics:
    from trace_retriever.openmoji.build import build
    from trace_retriever.openmoji.sheet import SHOWN, sample_sheet

    figures = build(config, out)
    sample_sheet(out, SHOWN, 1, report / "sheet.png")
    return figures


def _summary(source: str, counts: dict[str, Any]) -> str:
    lines = [
        f"# Data set (source: {source})",
        "",
        "| pair | train queries | val queries | test queries | val pool | test pool |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, pair in counts["pairs"].items():
        cells = [pair["queries"].get(split, 0) for split in SPLITS]
        cells += [pair["pool"].get(split, 0) for split in ("val", "test")]
        lines.append(f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} |")
    pools = ", ".join(f"{split} {size:,}" for split, size in counts["global_pool"].items())
    return "\n".join([*lines, "", f"Global pools: {pools} candidates.", ""])
