import multiprocessing
import os
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from trace_retriever.io.locks import claim, shared_directory

FORK = multiprocessing.get_context("fork")


def hold(path: Path, held: Event, done: Event) -> None:
    with claim(path, wait=True):
        held.set()
        done.wait(30)


def test_one_process_at_a_time_holds_a_claim_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    held, done = FORK.Event(), FORK.Event()
    process = FORK.Process(target=hold, args=(tmp_path / "lock", held, done))
    process.start()
    assert held.wait(30)
    with claim(tmp_path / "lock", wait=False) as mine:
        assert not mine
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    with claim(tmp_path / "lock", wait=True) as mine:
        assert mine
    process.join()


def stay(path: Path, entered: Event, leave: Event) -> None:
    with shared_directory(path) as folder:
        entered.set()
        leave.wait(30)
        (folder / "last").write_text("written after the other has left")


def test_the_last_process_removes_a_shared_directory(tmp_path: Path) -> None:
    work = tmp_path / "work"
    entered, leave = FORK.Event(), FORK.Event()
    process = FORK.Process(target=stay, args=(work, entered, leave))
    process.start()
    with shared_directory(work):
        assert entered.wait(30)
        (work / "first").write_text("")
    assert [path.name for path in work.iterdir()] == ["first"]
    leave.set()
    process.join()
    assert process.exitcode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_shared_directory_stays_after_a_fault_and_is_found_again(tmp_path: Path) -> None:
    def fail() -> None:
        with shared_directory(tmp_path / "work") as work:
            (work / "kept").write_text("")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with shared_directory(tmp_path / "work") as work:
        assert (work / "kept").exists()
    assert not work.exists()


def crowd(path: Path, times: int) -> None:
    for _ in range(times):
        with shared_directory(path) as folder:
            (folder / f"{os.getpid()}").write_text("")


def test_processes_that_come_and_go_never_lose_the_directory_under_their_feet(tmp_path: Path) -> None:
    processes = [FORK.Process(target=crowd, args=(tmp_path / "work", 100)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []
