"""The files of `deploy/`: what a cluster needs beside the pipelines, rendered from its settings."""

from pathlib import Path
from typing import Any

import yaml

from trace_retriever.config.cluster import ClusterSettings
from trace_retriever.config.train import TrainConfig
from trace_retriever.kubernetes.rights import rights
from trace_retriever.kubernetes.runtime import training_runtime
from trace_retriever.kubernetes.train_job import train_job

HEAD = "# Rendered by `trace train-job render` from pipelines/cluster.yaml and params.yaml: change those.\n"
INPUTS = ("dataset", "routes", "kept", "validation", "backbone")


def manifests(settings: ClusterSettings, config: TrainConfig) -> dict[str, str]:
    """File name → YAML. `train-job.yaml`, an example run, is there where step `train` has a shared volume."""
    objects: dict[str, list[dict[str, Any]]] = {
        "runtime.yaml": [training_runtime(settings)],
        "rights.yaml": rights(settings),
    }
    volumes = settings.pod("train").volumes
    if volumes:
        root = Path(volumes[0].path)
        inputs = {name: root / "inputs" / name for name in INPUTS}
        objects["train-job.yaml"] = [
            train_job("train-example", settings, config, root / "runs/example", inputs)
        ]
    return {name: HEAD + as_yaml(found) for name, found in objects.items()}


def as_yaml(objects: list[dict[str, Any]]) -> str:
    """Several objects as one YAML stream, every value written out (no anchors)."""
    dumper: Any = type("Plain", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    text: str = yaml.dump_all(objects, Dumper=dumper, sort_keys=False, width=120)
    return text


def drifted(folder: Path, files: dict[str, str]) -> list[str]:
    """The names of rendered files that a folder lacks or has otherwise."""
    return [
        name
        for name, text in files.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]
