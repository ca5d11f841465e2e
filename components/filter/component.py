"""Step `filter` as a Kubeflow component. What it does: `trace_retriever.steps.filter`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def filter(
    config: dict,
    dataset: Input[Dataset],
    traces: Input[Dataset],
    out: Output[Dataset],
    report: Output[Artifact],
    page: Output[HTML],
    metrics: Output[Metrics],
    backbone: Input[Model] = None,
) -> None:
    """Keep the traces that pass the rules and the verifier; say why the others were dropped."""
    from trace_retriever.kubeflow.component import run_component

    run_component(
        "filter",
        config,
        {"dataset": dataset, "traces": traces, "backbone": backbone},
        {"out": out, "report": report, "page": page, "metrics": metrics},
    )
