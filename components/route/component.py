"""Step `route` as a Kubeflow component. What it does: `trace_retriever.steps.route`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def route(
    config: dict,
    dataset: Input[Dataset],
    out: Output[Dataset],
    report: Output[Artifact],
    page: Output[HTML],
    metrics: Output[Metrics],
    backbone: Input[Model] = None,
) -> None:
    """Label each training query simple or complex."""
    from trace_retriever.kubeflow.component import run_component

    run_component(
        "route",
        config,
        {"dataset": dataset, "backbone": backbone},
        {"out": out, "report": report, "page": page, "metrics": metrics},
    )
