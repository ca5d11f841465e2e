"""A version served without traffic, and checked. What it does: `trace_retriever.rollout.promotion`."""

from kfp import dsl
from kfp.dsl import Artifact, Input


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def canary(
    model: Input[Artifact],
    name: str,
    version: str,
    manifest: str,
    rules: dict,
    rollout: dict,
    serving: dict,
) -> None:
    """Serve a version as canary, compare its answers with its model's own, and put a little load on it."""
    from trace_retriever.rollout.promotion import canary_component

    canary_component(model, name, version, manifest, rules, rollout, serving)
