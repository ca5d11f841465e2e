"""A process that ends with its parent: `python -m trace_retriever.rollout.tether PARENT -- COMMAND`.

The parent may be killed without a chance to clean up; then the command is asked to end, and made to.
"""

import os
import signal
import subprocess
import sys
import time

SECONDS = 0.2
GRACE_SECONDS = 10.0


def main(arguments: list[str]) -> int:
    """Run the command; its exit code is this one's. A signal to end is passed on."""
    parent, dash, *command = arguments
    assert dash == "--"
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.terminate())
    while child.poll() is None:
        if os.getppid() != int(parent):
            _end(child)
        time.sleep(SECONDS)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
