"""Step `backbone` as a Kubeflow component. What it does: `trace_retriever.steps.backbone`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def backbone(
    config: dict,
    dataset: Input[Dataset],
    out: Output[Model],
    report: Output[Artifact],
    page: Output[HTML],
    metrics: Output[Metrics],
) -> None:
    """Check the model that TRACE starts from, or give a tiny one eyes and words."""
    from trace_retriever.kubeflow.component import run_component

    run_component(
        "backbone",
        config,
        {"dataset": dataset},
        {"out": out, "report": report, "page": page, "metrics": metrics},
    )
