"""The registry's word on a version. What it does: `trace_retriever.rollout.promotion`."""

from kfp import dsl
from kfp.dsl import Markdown, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def approved(
    name: str,
    version: str,
    manifest: str,
    rules: dict,
    summary: Output[Markdown],
) -> None:
    """Check that the registry says of this version, by digest, that it may be deployed."""
    from trace_retriever.rollout.promotion import approved_component

    approved_component(name, version, manifest, rules, summary)
