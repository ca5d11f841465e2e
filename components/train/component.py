"""Step `train` as a Kubeflow component. What it does: `trace_retriever.steps.train`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def train(
    config: dict,
    dataset: Input[Dataset],
    routes: Input[Dataset],
    kept: Input[Dataset],
    validation: Input[Dataset],
    backbone: Input[Model],
    out: Output[Model],
    report: Output[Artifact],
    page: Output[HTML],
    metrics: Output[Metrics],
    variant: str = "",
) -> None:
    """Train TRACE (or the encoder-only baseline) with DeepSpeed."""
    from trace_retriever.kubeflow.component import run_component

    run_component(
        "train",
        config,
        {"dataset": dataset, "routes": routes, "kept": kept, "validation": validation, "backbone": backbone},
        {"out": out, "report": report, "page": page, "metrics": metrics},
        variant=variant,
    )
