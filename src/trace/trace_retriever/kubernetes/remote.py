"""Step `train` on several machines: inputs shared, a TrainJob run and watched, outputs fetched."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from trace_retriever.config.cluster import ClusterSettings
from trace_retriever.config.train import TrainConfig
from trace_retriever.errors import ConfigError
from trace_retriever.io.files import atomic_directory, digest_bytes, digest_tree, read_json, write_json
from trace_retriever.kubernetes.api import TrainJobs
from trace_retriever.kubernetes.lifetime import RUN, Owner
from trace_retriever.kubernetes.train_job import train_job
from trace_retriever.kubernetes.watch import Watched
from trace_retriever.step import Metrics

POLL_SECONDS = 10.0


def run_train_job(
    config: TrainConfig,
    settings: ClusterSettings,
    *,
    inputs: Mapping[str, Path],
    out: Path,
    report: Path,
    poll: float = POLL_SECONDS,
    owner: Owner | None = None,
) -> Metrics:
    """Train as a TrainJob and wait for it; leaves what `run_step("train", …)` leaves.

    The job's name comes from params and inputs: called again while it runs, this watches it; called after it
    failed, it starts it again, and training goes on from its last checkpoint.

    Args:
        config: the params; `processes` must be the cluster's machines x processes.
        settings: of the cluster; step `train` needs a `work_volume` that all machines share and that is
            mounted here too.
        inputs: argument name → path. What is not on a shared volume is copied to it.
        out, report: where outputs go.
        poll: seconds between looks.
        owner: the pod of this process, if the job is to go with it; else the job runs on when this ends.

    Returns:
        The metrics.

    Raises:
        ConfigError: no shared volume, or params and cluster do not fit.
        ClusterError: the cluster refuses or cannot be reached.
        TraceError: training failed; carries the end of the first machine's log.
        Cancelled: SIGTERM, where there is an owner; the job is removed.
    """
    digests = {name: digest_tree(path) for name, path in sorted(inputs.items())}
    identity = json.dumps({"config": config.model_dump(mode="json"), "inputs": digests}, sort_keys=True)
    name = f"train-{digest_bytes(identity.encode())[7:19]}"
    folder = _shared_folder(settings) / name
    placed = {key: _placed(path, settings, folder / "inputs" / key) for key, path in inputs.items()}
    body = train_job(name, settings, config, folder, placed, os.environ.get(RUN, ""), owner)
    write_json(folder / "params.yaml", {"train": config.model_dump(mode="json")})  # JSON is YAML
    Watched(TrainJobs(settings.namespace), name, poll).run(body, owner)
    for source, target in ((folder / "out", out), (folder / "report", report)):
        with atomic_directory(target) as new:
            shutil.copytree(source, new, dirs_exist_ok=True)
    metrics: Metrics = read_json(report / "metrics.json")
    shutil.rmtree(folder)
    return metrics


def _shared_folder(settings: ClusterSettings) -> Path:
    folder = settings.pod("train").work_volume
    if folder is None:
        raise ConfigError(
            "machines of a TrainJob need a folder that all of them share",
            where="steps.train.work_volume",
            remedy="mount a ReadWriteMany claim and name a folder on it",
        )
    return Path(folder) / "train-jobs"


def _placed(path: Path, settings: ClusterSettings, target: Path) -> Path:
    """The path itself if it lies on a shared volume, else a copy there, whole or absent."""
    path = path.resolve()
    if any(path.is_relative_to(volume.path) for volume in settings.pod("train").volumes):
        return path
    if not target.exists():
        with atomic_directory(target) as new:
            shutil.copytree(path, new, dirs_exist_ok=True, symlinks=True)
    return target
