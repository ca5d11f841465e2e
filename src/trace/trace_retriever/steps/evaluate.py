"""Step `evaluate`: search exactly, score M-BEIR's metrics with intervals, per pair and system."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_retriever.config.evaluate import EvaluateConfig

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    config: EvaluateConfig,
    *,
    dataset: Path,
    embeddings: Path,
    baseline: Path | None,
    out: Path,
    report: Path,
    work: Path,  # noqa: ARG001 - searching is cheap beside encoding, so nothing is kept
) -> dict[str, Any]:
    """Fill `out` with `runs/<system>/<pair>.trec`, `queries.parquet` (per-query records) and `results.json`.

    Returns:
        Averages per system, headline and R@1 per system and pair, reasoning rates and trace exactness.

    Raises:
        ConfigError: a pair or split that was not embedded.
        DataError: vectors, judgements or pools are missing or do not fit together.
    """
    from trace_retriever.evaluation.benchmark import Benchmark
    from trace_retriever.evaluation.summary import metrics, summarise
    from trace_retriever.io.files import write_json
    from trace_retriever.mbeir.layout import Layout
    from trace_retriever.search.store import Embeddings

    layout, store = Layout(dataset), Embeddings.load(embeddings)
    other = Embeddings.load(baseline) if baseline is not None else None
    outcome = Benchmark(layout, store, other, config=config, runs=out / "runs").run()
    results = summarise(outcome, resamples=config.resamples, seed=config.seed)
    results["split"] = config.split
    results["embeddings"] = {"trace": store.about} | ({"encoder": other.about} if other else {})
    outcome.queries.to_parquet(out / "queries.parquet", index=False)
    write_json(out / "results.json", results)
    _write_report(config, layout, store, outcome.queries, results, out / "runs", report)
    return metrics(results, outcome.queries)


def _write_report(
    config: EvaluateConfig,
    layout: Any,
    store: Any,
    queries: "pd.DataFrame",
    results: dict[str, Any],
    runs: Path,
    report: Path,
) -> None:
    from trace_retriever.evaluation.examples import show_examples
    from trace_retriever.evaluation.report import render
    from trace_retriever.evaluation.seeds import read_seeds
    from trace_retriever.evaluation.summary import plot_table
    from trace_retriever.io.files import write_atomic

    system = "auto" if "auto" in results["systems"] else "never"
    examples = show_examples(
        layout, store, queries, runs, split=config.split, count=config.examples, system=system
    )
    seeds = read_seeds(Path(config.seeds_file)) if config.seeds_file else None
    write_atomic(report / "report.html", render(results, queries, seeds, examples))
    write_atomic(report / "recall.csv", plot_table(results).to_csv(index=False))
