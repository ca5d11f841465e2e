"""torchrun without its banners: starts the workers of one machine, watches them, ends them together.

Run as `python -m trace_retriever.training.agent MODULE JOB PROCESSES`; see `launch`.
"""

import logging
import sys
import uuid
from pathlib import Path

from trace_retriever.training.process import Failure, die_with_parent, has_failure, leave_failure


def main(module: str, job: Path, processes: int) -> int:
    """Run the workers; returns the exit code, 0 if all of them ended well."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        local_addr="127.0.0.1",
    )
    try:
        elastic_launch(config, sys.executable)("-m", module, str(job))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if not has_failure(job):
            leave_failure(job, str(rank), _unexplained(rank, failure.exitcode))
        return 1
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def _unexplained(rank: int, code: int) -> Failure:
    """What to say of a worker that left no word: a signal, mostly."""
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    remedy = "a process killed by signal 9 has usually run out of memory: lower the batch, or use more ZeRO"
    return Failure(kind="TraceError", problem=f"training process {rank} {how}", remedy=remedy)


if __name__ == "__main__":
    die_with_parent()
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
