"""Outputs and notes of a run in an object store, as pods that share nothing else leave and find them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contracts import test_dvc

from trace_retriever.io.files import digest_tree
from trace_retriever.kubeflow.ledger import LEDGER, RUN
from trace_retriever.kubeflow.remote import ENDPOINT, REMOTE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # moto's server threads
]
s3 = test_dvc.s3
PUSH = """\
import sys
from pathlib import Path
from trace_retriever.kubeflow.remote import push_output
print(push_output(Path(sys.argv[1])))
"""
PULL = """\
import sys
from types import SimpleNamespace
from trace_retriever.kubeflow.remote import pull_component
pull_component(sys.argv[1], SimpleNamespace(path=sys.argv[2], uri="", metadata={}))
"""
READ = """\
import json
from trace_retriever.kubeflow.ledger import Ledger
print(json.dumps([vars(entry) for entry in Ledger.from_environment().read()]))
"""
SECRET = "not-to-be-shown"


def pod(address: str, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a process that knows what a pod's environment tells it, and no more."""
    told = {
        REMOTE: "s3://models/pods",
        LEDGER: "s3://models/runs",
        RUN: "run-1",
        ENDPOINT: address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_one_pods_output_is_anothers_input_and_both_are_noted(s3: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    (made / "below").mkdir(parents=True)
    (made / "below/vectors.bin").write_bytes(bytes(range(256)) * 40)
    pushed = pod(s3, PUSH, str(made))
    digest = pushed.stdout.strip()
    assert digest.endswith(".dir"), pushed.stderr
    pulled = pod(s3, PULL, digest, str(tmp_path / "back"))
    assert pulled.returncode == 0, pulled.stderr
    assert digest_tree(tmp_path / "back") == digest_tree(made)
    missing = pod(s3, PULL, "0" * 32, str(tmp_path / "none"))
    assert missing.returncode == 1
    assert "pull failed" in missing.stderr
    read = pod(s3, READ)
    assert [entry["state"] for entry in json.loads(read.stdout)] == ["done", "failed"], read.stderr
    assert not any(
        SECRET in text for run in (pushed, pulled, missing, read) for text in (run.stdout, run.stderr)
    )
