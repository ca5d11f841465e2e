"""Step `validate` as a Kubeflow component. What it does: `trace_retriever.steps.validate`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def validate(
    config: dict,
    dataset: Input[Dataset],
    routes: Input[Dataset],
    kept: Input[Dataset],
    out: Output[Dataset],
    report: Output[Artifact],
    page: Output[HTML],
    metrics: Output[Metrics],
    previous: Input[Dataset] = None,
) -> None:
    """Check queries, candidates, qrels, traces and their joins with Great Expectations."""
    from trace_retriever.kubeflow.component import run_component

    run_component(
        "validate",
        config,
        {"dataset": dataset, "routes": routes, "kept": kept, "previous": previous},
        {"out": out, "report": report, "page": page, "metrics": metrics},
    )
