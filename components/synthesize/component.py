"""Step `synthesize` as a Kubeflow component. What it does: `trace_retriever.steps.synthesize`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def synthesize(
    config: dict,
    dataset: Input[Dataset],
    routes: Input[Dataset],
    out: Output[Dataset],
    report: Output[Artifact],
    page: Output[HTML],
    metrics: Output[Metrics],
) -> None:
    """Let a teacher write a reasoning trace for each complex query."""
    from trace_retriever.kubeflow.component import run_component

    run_component(
        "synthesize",
        config,
        {"dataset": dataset, "routes": routes},
        {"out": out, "report": report, "page": page, "metrics": metrics},
    )
