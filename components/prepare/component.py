"""Step `prepare` as a Kubeflow component. What it does: `trace_retriever.steps.prepare`."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Markdown, Metrics, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def prepare(
    config: dict,
    out: Output[Dataset],
    report: Output[Artifact],
    page: Output[Markdown],
    metrics: Output[Metrics],
) -> None:
    """Lay out an M-BEIR data set: link an existing one, or make the OpenMoji benchmark."""
    from trace_retriever.kubeflow.component import run_component

    run_component("prepare", config, {}, {"out": out, "report": report, "page": page, "metrics": metrics})
