"""A package into the store that servers fetch from. What it does: `trace_retriever.rollout.promotion`."""

from kfp import dsl
from kfp.dsl import Artifact, Input


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def publish(
    model: Input[Artifact],
    manifest: str,
    serving: dict,
) -> None:
    """Copy a verified package into the store, under its manifest's digest."""
    from trace_retriever.rollout.promotion import publish_component

    publish_component(model, manifest, serving)
