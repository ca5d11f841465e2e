"""How many processors this process may use, which may be fewer than the machine has."""

import os


def usable_processors() -> int:
    """Those that it may run on (taskset, a container's set); all of them where the system does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
