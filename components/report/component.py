"""The run's report, written by the exit handler. What it does: `trace_retriever.kubeflow.run_report`."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Markdown, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def report(
    status: dsl.PipelineTaskFinalStatus,
    page: Output[HTML],
    summary: Output[Markdown],
    record: Output[Artifact],
) -> None:
    """Say what ran in this run, what failed, and with which figures."""
    from trace_retriever.kubeflow.run_report import report_component

    report_component(status, page, summary, record)
