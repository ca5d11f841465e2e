"""What all pipelines are compiled with: the cluster settings, and `params.yaml` as the params' defaults."""

import os
from pathlib import Path
from typing import Any

from kfp.dsl import PipelineTask

from trace_retriever.config import SECTIONS
from trace_retriever.config.cluster import load_cluster
from trace_retriever.kubeflow.arguments import params_arguments
from trace_retriever.kubeflow.tasks import configure

ROOT = Path(__file__).parents[1]
CLUSTER = load_cluster(Path(os.environ.get("TRACE_CLUSTER") or ROOT / "pipelines/cluster.yaml"))
PARAMS: dict[str, dict[str, Any]] = params_arguments(SECTIONS, {}, ROOT / "params.yaml")
PARTS = ["0/2", "1/2"]


def on(step: str, task: PipelineTask, title: str = "") -> PipelineTask:
    """A task with its step's settings, and a name for the graph."""
    return configure(task, step, CLUSTER).set_display_name(title or step)
