"""Step `gate` as a Kubeflow component. What it does: `trace_retriever.steps.gate`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def gate(
    config: dict,
    evaluation: Input[Dataset],
    validation: Input[Dataset],
    out: Output[Dataset],
    report: Output[Artifact],
    page: Output[HTML],
    metrics: Output[Metrics],
    champion: Input[Model] = None,
) -> None:
    """Hold the model against its thresholds and the champion; refuse or pass."""
    from trace_retriever.kubeflow.component import run_component

    run_component(
        "gate",
        config,
        {"evaluation": evaluation, "validation": validation, "champion": champion},
        {"out": out, "report": report, "page": page, "metrics": metrics},
    )
