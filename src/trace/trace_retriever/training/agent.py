"""torchrun without its banners: starts the workers of one machine, watches them, ends them together.

Run as `python -m trace_retriever.training.agent MODULE JOB PROCESSES`; see `launch`.
"""

import logging
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from trace_retriever.io.nodes import Nodes
from trace_retriever.training.process import Failure, die_with_parent, has_failure, leave_failure

JOIN_SECONDS = 1800  # machines of one job may be found, and pull their images, at quite different times
CONNECT_SECONDS = 300


def main(module: str, job: Path, processes: int) -> int:
    """Run this machine's workers; returns the exit code, 0 if all of them ended well."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError
    from torch.distributed.launcher.api import elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    nodes = Nodes.from_environment()
    try:
        elastic_launch(launch_config(nodes, processes), sys.executable)("-m", module, str(job))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if not has_failure(job):
            leave_failure(job, str(rank), _unexplained(rank, failure.exitcode))
        return 1
    except RendezvousError as error:
        leave_failure(job, f"node-{nodes.number}", _apart(nodes, error))
        return 1
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def launch_config(nodes: Nodes, processes: int) -> Any:
    """torchrun's settings for this machine: alone on loopback, or one of several that meet at the first.

    The number of machines is fixed: a checkpoint is of a number of processes (ZeRO splits the state over
    them), so a lost machine is waited for, and not done without.
    """
    from torch.distributed.launcher.api import LaunchConfig

    if nodes.count == 1:
        place: dict[str, Any] = {
            "run_id": uuid.uuid4().hex,
            "rdzv_endpoint": "localhost:0",
            "local_addr": "127.0.0.1",
        }
    else:
        # Ranks go by address: rank 0 may be on another machine than the rendezvous. Workers would then look
        # for the rendezvous' store at the address of rank 0; with a store of their own they find it.
        os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
        meeting = {"is_host": nodes.leads, "join_timeout": JOIN_SECONDS, "read_timeout": CONNECT_SECONDS}
        place = {
            "run_id": nodes.run,
            "rdzv_endpoint": f"{nodes.address}:{nodes.port}",
            "rdzv_configs": meeting,
            "local_addr": nodes.own_address,
        }
    return LaunchConfig(
        min_nodes=nodes.count,
        max_nodes=nodes.count,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        max_restarts=nodes.restarts,
        **place,
    )


def _unexplained(rank: int, code: int) -> Failure:
    """What to say of a worker that left no word: a signal, mostly."""
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    remedy = "a process killed by signal 9 has usually run out of memory: lower the batch, or use more ZeRO"
    return Failure(kind="TraceError", problem=f"training process {rank} {how}", remedy=remedy)


def _apart(nodes: Nodes, error: Exception) -> Failure:
    """What to say when the machines of a run did not meet."""
    return Failure(
        kind="TraceError",
        problem=f"machine {nodes.number} of {nodes.count} lost the others: {error}",
        where=f"{nodes.address}:{nodes.port}",
        remedy="see that machine 0 runs, and that its port is open to the others",
    )


if __name__ == "__main__":
    die_with_parent()
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
