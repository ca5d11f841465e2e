import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trace_retriever.errors import ConfigError, TraceError
from trace_retriever.training.launch import launch

pytestmark = pytest.mark.slow


def job(folder: Path, how: str) -> Path:
    path = folder / "job.json"
    path.write_text(json.dumps({"how": how}))
    return path


def test_a_users_mistake_comes_back_as_it_was_raised(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="no such thing") as caught:
        launch("failing_worker", job(tmp_path, "mistake"), processes=2)
    assert (caught.value.where, caught.value.remedy) == ("params.yaml", "name another")
    assert "Traceback" not in capfd.readouterr().err


def test_a_crash_comes_back_with_the_end_of_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"(?s)failing_worker\.py.*RuntimeError: shapes differ"):
        launch("failing_worker", job(tmp_path, "crash"), processes=2)


def test_a_killed_worker_is_named_with_its_signal(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="process 1 was killed by signal 9"):
        launch("failing_worker", job(tmp_path, "killed"), processes=2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_die_with_the_launching_process(tmp_path: Path, number: signal.Signals) -> None:
    path = job(tmp_path, "note")
    code = "import sys; from pathlib import Path; from trace_retriever.training.launch import launch; "
    code += "launch('failing_worker', Path(sys.argv[1]), processes=1)"
    parent = subprocess.Popen([sys.executable, "-c", code, str(path)], stderr=subprocess.DEVNULL)
    worker = int(wait_for(path.with_suffix(".pid")))
    parent.send_signal(number)
    parent.wait(timeout=30)
    deadline = time.monotonic() + 10
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


def wait_for(file: Path) -> str:
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return file.read_text()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text() if Path(f"/proc/{pid}").exists() else False


def test_under_a_launcher_the_worker_runs_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ConfigError, match="no such thing"):
        launch("failing_worker", job(tmp_path, "mistake"), processes=8)
