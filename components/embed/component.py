"""Step `embed` as a Kubeflow component. What it does: `trace_retriever.steps.embed`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def embed(
    config: dict,
    dataset: Input[Dataset],
    model: Input[Model],
    out: Output[Dataset],
    report: Output[Artifact],
    page: Output[HTML],
    metrics: Output[Metrics],
    previous: Input[Dataset] = None,
    parts: Input[list[Dataset]] = None,
    part: str = "",
) -> None:
    """Encode the candidate pools and the queries."""
    from trace_retriever.kubeflow.component import run_component

    run_component(
        "embed",
        config,
        {"dataset": dataset, "model": model, "previous": parts or previous},
        {"out": out, "report": report, "page": page, "metrics": metrics},
        part=part,
    )
