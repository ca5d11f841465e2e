"""Run by torchrun: fails in the way that its job asks for."""

import json
import os
import signal
import time
from pathlib import Path

from trace_retriever.errors import ConfigError
from trace_retriever.training.process import run_worker


def main(path: Path) -> None:
    how = json.loads(path.read_text())["how"]
    if how == "note":
        path.with_suffix(".pid").write_text(str(os.getpid()))
        time.sleep(60)
    elif os.environ["RANK"] != "1":
        time.sleep(60)  # as one that waits in a collective
    elif how == "mistake":
        raise ConfigError("no such thing", where="params.yaml", remedy="name another")
    elif how == "crash":
        raise RuntimeError("shapes differ")
    elif how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    run_worker(main)
