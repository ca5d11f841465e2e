"""Step `train` on several machines: inputs shared, a TrainJob run and watched, outputs fetched."""

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from trace_retriever.config.cluster import ClusterSettings
from trace_retriever.config.train import TrainConfig
from trace_retriever.errors import ConfigError, TraceError
from trace_retriever.io.files import atomic_directory, digest_bytes, digest_tree, read_json, write_json
from trace_retriever.kubernetes.api import State, TrainJobs
from trace_retriever.kubernetes.train_job import train_job
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

    Returns:
        The metrics.

    Raises:
        ConfigError: no shared volume, or params and cluster do not fit.
        ClusterError: the cluster refuses or cannot be reached.
        TraceError: training failed; carries the end of the first machine's log.
    """
    digests = {name: digest_tree(path) for name, path in sorted(inputs.items())}
    identity = json.dumps({"config": config.model_dump(mode="json"), "inputs": digests}, sort_keys=True)
    name = f"train-{digest_bytes(identity.encode())[7:19]}"
    folder = _shared_folder(settings) / name
    placed = {key: _placed(path, settings, folder / "inputs" / key) for key, path in inputs.items()}
    body = train_job(name, settings, config, folder, placed, os.environ.get("TRACE_RUN", ""))
    write_json(folder / "params.yaml", {"train": config.model_dump(mode="json")})  # JSON is YAML
    _watch(TrainJobs(settings.namespace), name, body, poll)
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


def _watch(jobs: TrainJobs, name: str, body: Mapping[str, object], poll: float) -> None:
    """Run the job to its end; one that failed earlier is started again."""
    if (earlier := jobs.state(name)) and earlier.end == "Failed":
        jobs.remove(name)
        while jobs.state(name) is not None:
            time.sleep(poll)
    created = jobs.create(dict(body))
    print(f"TrainJob {name}: {'created' if created else 'watched: it runs already'}", file=sys.stderr)
    said: str | None = None
    shown = ""
    while True:
        state = jobs.state(name)
        if state is None:
            raise TraceError(f"TrainJob {name} was removed while it ran", remedy="run the same command again")
        if state.message != said:
            said = state.message
            print(f"TrainJob {name}: {said or 'waits'}", file=sys.stderr)
        log = jobs.log(name)
        shown = _show(log, shown)
        if state.end:
            _finish(jobs, name, state, log)
            return
        time.sleep(poll)


def _show(log: str, shown: str) -> str:
    """Print the lines of a log's end that were not printed before."""
    lines, before = log.splitlines(), shown.splitlines()
    seen = next((n for n in range(len(lines), 0, -1) if lines[:n] == before[-n:]), 0)
    for line in lines[seen:]:
        print(f"  {line}", file=sys.stderr)
    return log or shown


def _finish(jobs: TrainJobs, name: str, state: State, log: str) -> None:
    if state.end == "Failed":  # left there for a person to look at
        raise TraceError(
            f"TrainJob {name} failed: {state.message}\n{log.rstrip()}",
            where=f"namespace {jobs.namespace}",
            remedy="mend the cause and run the same command: it goes on from the last checkpoint",
        )
    jobs.remove(name)
