"""The process in which KFP's local runner runs: `python -m trace_retriever.kubeflow.local_worker JOB`."""

import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import yaml

from trace_retriever.io.files import read_json
from trace_retriever.kubeflow.component import WORK
from trace_retriever.kubeflow.ledger import LEDGER
from trace_retriever.kubeflow.multi_node import TRAIN_CLUSTER
from trace_retriever.kubeflow.remote import ENDPOINT, REMOTE

SECONDS = 0.5
# Places of the cluster, compiled in: here this process' own variables count, and training is the task's own.
OF_THE_CLUSTER = {WORK, LEDGER, REMOTE, ENDPOINT, TRAIN_CLUSTER}


def main(job: Path) -> int:
    """Run the job's pipeline; returns 0 when all tasks ended well."""
    warnings.simplefilter("ignore")  # KFP's, about images that are not named python
    from kfp import components, local

    about: dict[str, Any] = read_json(job)
    threading.Thread(target=_end_with, args=(about["parent"],), daemon=True).start()
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=about["artifacts"],
        raise_on_error=True,
        enable_caching=True,
        cache_root=about["cache"],
    )
    pipeline = components.load_component_from_text(for_this_machine(Path(about["pipeline"])))
    try:
        pipeline(**about["arguments"])
    except RuntimeError as error:  # how the local runner says that a task failed
        print(error, file=sys.stderr)
        return 1
    return 0


def for_this_machine(compiled: Path) -> str:
    """A compiled pipeline without the places of the cluster that it was compiled for."""
    spec, *platform = yaml.safe_load_all(compiled.read_text(encoding="utf-8"))
    for executor in spec["deploymentSpec"]["executors"].values():
        container = executor["container"]
        container["env"] = [item for item in container.get("env", []) if item["name"] not in OF_THE_CLUSTER]
    return yaml.safe_dump_all([spec, *platform], sort_keys=False)


def _end_with(parent: int) -> None:
    """Leave no task behind: when the process that started this one is gone, end this group of processes."""
    while os.getppid() == parent:
        time.sleep(SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
