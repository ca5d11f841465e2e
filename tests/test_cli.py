import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.mbeir.checkout_files import write_checkout

from trace_retriever.step import STEPS


def trace(*arguments: str, cwd: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, after some code."""
    code = f"{textwrap.dedent(before)}\nfrom trace_retriever.cli import main\nmain()\n"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def mbeir(checkout: Path) -> list[str]:
    return ["--set", "prepare.source=mbeir", "--set", f"prepare.mbeir.path={checkout}"]


def test_help_lists_each_step_in_little_time(tmp_path: Path) -> None:
    """Measured as the processor time of the process, which a busy machine does not lengthen much."""
    command = [sys.executable, "-c", "from trace_retriever.cli import main; main()", "--help"]
    with (tmp_path / "out").open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    shown = (tmp_path / "out").read_text()
    assert process.returncode == 0
    assert all(name in shown for name in STEPS)
    assert usage.ru_utime < 1.0


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = (
        "torch",
        "transformers",
        "pandas",
        "great_expectations",
        "matplotlib",
        "faiss",
        "deepspeed",
        "numpy",
    )
    before = f"""
        import atexit, sys
        atexit.register(lambda: print("HEAVY", [name for name in {heavy} if name in sys.modules]))
    """
    assert "HEAVY []" in trace("--help", cwd=tmp_path, before=before).stdout


@pytest.mark.parametrize("name", ["prepare", "train"])
def test_a_steps_help_shows_its_inputs_and_outputs(tmp_path: Path, name: str) -> None:
    shown = trace(name, "--help", cwd=tmp_path)
    assert shown.returncode == 0
    for key in (*STEPS[name].inputs, "params", "set", "out", "report"):
        assert f"--{key}" in shown.stdout


def test_a_step_runs(tmp_path: Path) -> None:
    checkout = write_checkout(tmp_path / "checkout")
    done = trace("prepare", *mbeir(checkout), "--set", "prepare.mbeir.pairs=[cirr_task7]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "test_queries                     3" in done.stdout
    assert (tmp_path / "data/mbeir/query/test/mbeir_cirr_task7_test.jsonl").is_file()
    assert (tmp_path / "results/prepare/metrics.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["prepair"], 2, "prepair"),
        (["prepare", "--nonsense"], 2, "--nonsense"),
        (["prepare", "--params", "none.yaml"], 1, "params file not found"),
        (["prepare", "--params", "bad.yaml"], 1, "not valid YAML"),
        (["prepare", "--params", "."], 1, "a folder and not a file"),
        (["prepare", "--set", "prepare.sorce=mbeir"], 1, "did you mean 'source'?"),
        (["prepare", "--set", "prepare.openmoji.seed=many"], 1, "'many'"),
        (["prepare", "--set", "prepare.openmoji.seed=["], 1, "not valid YAML"),
        (["prepare", "--set", "prepare.source=mbeir"], 1, "prepare.mbeir.path"),
        (["prepare", *mbeir(Path("none"))], 1, "no M-BEIR checkout here"),
        (["prepare", *mbeir(Path("empty"))], 1, "query/test/mbeir_nights_task4_test.jsonl"),
        (["prepare", *mbeir(Path("empty")), "--set", "prepare.mbeir.pairs=[coco]"], 1, "'coco'"),
        (["prepare", "--out", "."], 1, "take the place of"),
        (["route"], 1, "run `trace prepare` first"),
        (["route", "--dataset", "none"], 1, "input 'dataset'"),
    ],
)
def test_a_users_mistake_gets_a_message_and_no_traceback(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "bad.yaml").write_text("a: [")
    (tmp_path / "empty").mkdir()
    done = trace(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data/mbeir").exists()


FULL = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
"""


def test_a_full_disk_leaves_no_partial_output(tmp_path: Path) -> None:
    """The kernel refuses to let files grow beyond a hundred bytes: the report's table is the first."""
    checkout = write_checkout(tmp_path / "checkout")
    arguments = ["prepare", *mbeir(checkout), "--set", "prepare.mbeir.pairs=[cirr_task7]"]
    done = trace(*arguments, cwd=tmp_path, before=FULL)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "summary.md" in done.stderr
    assert "free space" in done.stderr
    assert [*tmp_path.glob("data/*"), *tmp_path.glob("data/.*"), *tmp_path.glob("results/*")] == []
    assert trace(*arguments, cwd=tmp_path).returncode == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_without_rights_is_named(tmp_path: Path) -> None:
    checkout = write_checkout(tmp_path / "checkout")
    (tmp_path / "locked").mkdir(mode=0o500)
    done = trace("prepare", *mbeir(checkout), "--out", "locked/out", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "locked" in done.stderr
