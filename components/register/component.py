"""Step `register` as a Kubeflow component. What it does: `trace_retriever.steps.register`."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Markdown, Metrics, Model, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def register(
    config: dict,
    model: Input[Model],
    evaluation: Input[Dataset],
    verdict: Input[Dataset],
    validation: Input[Dataset],
    out: Output[Model],
    report: Output[Artifact],
    page: Output[Markdown],
    metrics: Output[Metrics],
    curves: Input[Artifact] = None,
) -> None:
    """Pack the model, its card and its evidence as a versioned artifact."""
    from trace_retriever.kubeflow.component import run_component

    run_component(
        "register",
        config,
        {
            "model": model,
            "evaluation": evaluation,
            "verdict": verdict,
            "validation": validation,
            "curves": curves,
        },
        {"out": out, "report": report, "page": page, "metrics": metrics},
    )
