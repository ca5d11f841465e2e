"""Step `evaluate`: search exactly, score M-BEIR's metrics with intervals, per pair and system."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_retriever.config.evaluate import EvaluateConfig

if TYPE_CHECKING:
    import pandas as pd

    from trace_retriever.evaluation.benchmark import Outcome


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
    """Fill `out` with `runs/<system>/<pair>.trec`, `queries.parquet` (per-query records), `results.json` and
    `samples/` (queries with their traces, results and small pictures, for whoever reviews the model).

    Returns:
        Averages per system, headline and R@1 per system and pair, reasoning rates and trace exactness, the
        route's threshold, and how far the router can be relied on.

    Raises:
        ConfigError: a pair or split that was not embedded, or a budget that not even direct answers meet.
        DataError: vectors, judgements or pools are missing or do not fit together.
    """
    from trace_retriever.evaluation.benchmark import Benchmark
    from trace_retriever.evaluation.samples import FOLDER, write_samples
    from trace_retriever.evaluation.summary import metrics, summarise
    from trace_retriever.io.files import write_json
    from trace_retriever.mbeir.layout import Layout
    from trace_retriever.store.embeddings import Embeddings

    layout, store = Layout(dataset), Embeddings.load(embeddings)
    other = Embeddings.load(baseline) if baseline is not None else None
    outcome = Benchmark(layout, store, other, config=config, runs=out / "runs").run()
    results = summarise(outcome, resamples=config.resamples, seed=config.seed)
    results["split"] = config.split
    results["embeddings"] = {"trace": store.about} | ({"encoder": other.about} if other else {})
    results["samples"] = write_samples(layout, store, outcome.pairs, out / "runs", out / FOLDER, config.split)
    outcome.queries.to_parquet(out / "queries.parquet", index=False)
    write_json(out / "results.json", results)
    curve = _curve(config, outcome)
    _write_report(config, layout, store, outcome.queries, results, curve, out / "runs", report)
    return metrics(results, outcome.queries)


def _curve(config: EvaluateConfig, outcome: "Outcome") -> "pd.DataFrame | None":
    """Recall against cost on the split that chose the threshold and on the one that is scored."""
    from trace_retriever.evaluation.curve import route_curve
    from trace_retriever.evaluation.outcomes import Cost, outcomes
    from trace_retriever.evaluation.systems import Routing

    table, choice = outcomes(outcome.queries), outcome.budget
    if table is None or choice is None or outcome.calibration is None:
        return None
    return route_curve(
        outcome.calibration,
        {choice["split"]: outcome.calibration, config.split: table},
        Routing(choice["threshold"]),
        Cost(**choice["cost"]),
        resamples=config.resamples,
        seed=config.seed,
    )


def _write_report(
    config: EvaluateConfig,
    layout: Any,
    store: Any,
    queries: "pd.DataFrame",
    results: dict[str, Any],
    curve: "pd.DataFrame | None",
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
    write_atomic(report / "report.html", render(results, queries, curve, seeds, examples))
    write_atomic(report / "recall.csv", plot_table(results).to_csv(index=False))
    if curve is not None:
        write_atomic(report / "route_curve.csv", curve.to_csv(index=False, float_format="%.6g"))
