"""Step `evaluate` as a Kubeflow component. What it does: `trace_retriever.steps.evaluate`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def evaluate(
    config: dict,
    dataset: Input[Dataset],
    embeddings: Input[Dataset],
    out: Output[Dataset],
    report: Output[Artifact],
    page: Output[HTML],
    metrics: Output[Metrics],
    baseline: Input[Dataset] = None,
) -> None:
    """Search exactly and score the M-BEIR metrics, with intervals, per pair."""
    from trace_retriever.kubeflow.component import run_component

    run_component(
        "evaluate",
        config,
        {"dataset": dataset, "embeddings": embeddings, "baseline": baseline},
        {"out": out, "report": report, "page": page, "metrics": metrics},
    )
