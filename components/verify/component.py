"""A registered model, file by file against its digests. What it does: `trace_retriever.cards.manifest`."""

from kfp import dsl
from kfp.dsl import Artifact, Input, Markdown, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def verify(
    model: Input[Artifact],
    manifest: str,
    summary: Output[Markdown],
) -> None:
    """Check a registered model against the digest that was approved; fail where one byte differs."""
    from trace_retriever.kubeflow.verification import verify_component

    verify_component(model, manifest, summary)
