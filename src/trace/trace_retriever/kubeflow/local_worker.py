"""The process in which KFP's local runner runs: `python -m trace_retriever.kubeflow.local_worker JOB`."""

import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from trace_retriever.io.files import read_json

SECONDS = 0.5


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
    pipeline = components.load_component_from_file(about["pipeline"])
    try:
        pipeline(**about["arguments"])
    except RuntimeError as error:  # how the local runner says that a task failed
        print(error, file=sys.stderr)
        return 1
    return 0


def _end_with(parent: int) -> None:
    """Leave no task behind: when the process that started this one is gone, end this group of processes."""
    while os.getppid() == parent:
        time.sleep(SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
