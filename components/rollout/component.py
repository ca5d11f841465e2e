"""The steps of a rollout. What it does: `trace_retriever.rollout.promotion`."""

from kfp import dsl
from kfp.dsl import Markdown, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def rollout(
    name: str,
    version: str,
    manifest: str,
    rules: dict,
    rollout: dict,
    serving: dict,
    summary: Output[Markdown],
) -> None:
    """Give the canary more and more of the traffic while the rules hold; then all of it, or send it back."""
    from trace_retriever.rollout.promotion import rollout_component

    rollout_component(name, version, manifest, rules, rollout, serving, summary)
