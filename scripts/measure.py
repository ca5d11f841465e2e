"""Run a command, then say how long it took and how much memory it and its children held at most.

    python scripts/measure.py [--json FILE] COMMAND [ARGUMENT]...

Memory is the sum over the process and its descendants at one moment, sampled each second: shared pages are
counted once where the kernel tells (Linux), else in each process. Exits with the command's own status.
"""

import json
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

EVERY_SECONDS = 1.0


def tree_bytes(root: psutil.Process) -> int:
    """Memory that a process and its descendants hold now."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.Error):
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
    return total


def watch(root: psutil.Process, ended: threading.Event, peak: list[int]) -> None:
    """Keep the largest sample in `peak[0]` until the command has ended."""
    while not ended.wait(EVERY_SECONDS):
        with suppress(psutil.Error):
            peak[0] = max(peak[0], tree_bytes(root))


def spoken(seconds: float) -> str:
    """Seconds as people read them."""
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def main(arguments: list[str]) -> int:
    """Run the command and print its cost; with `--json FILE` write it there too."""
    target = Path(arguments[1]) if arguments[:1] == ["--json"] else None
    command = arguments[2:] if target else arguments
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    started, ended, peak = time.monotonic(), threading.Event(), [0]
    child = subprocess.Popen(command)
    watcher = threading.Thread(target=watch, args=(psutil.Process(child.pid), ended, peak), daemon=True)
    watcher.start()
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        status = child.wait()
    except KeyboardInterrupt:
        status = child.wait()
    ended.set()
    watcher.join()
    seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime
    memory = f"{peak[0] / 2**30:.2f} GiB"
    print(f"\nwall time {spoken(seconds)}, processor time {spoken(processor)}, peak memory {memory}")
    if target and status == 0:
        cost = {
            "command": command,
            "seconds": round(seconds),
            "processor_seconds": round(processor),
            "peak_bytes": peak[0],
            "cores": psutil.cpu_count(),
        }
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(cost, indent=2) + "\n", encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
