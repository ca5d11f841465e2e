"""Content from a DVC remote, by digest. What it does: `trace_retriever.kubeflow.remote`."""

from kfp import dsl
from kfp.dsl import Artifact, Output


@dsl.component(base_image="localhost/trace-retriever:0.1.0-cpu", install_kfp_package=False)
def pull(
    digest: str,
    out: Output[Artifact],
    optional: bool = False,
) -> None:
    """Bring an output back from the DVC remote of the cluster settings, by its md5 in `dvc.lock`."""
    from trace_retriever.kubeflow.remote import pull_component

    pull_component(digest, out, optional)
