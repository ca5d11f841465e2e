"""Real databases for tests: SQLite files, and a PostgreSQL server of the machine's own binaries."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

USER = "postgres"


def binaries() -> Path | None:
    """Where PostgreSQL's server programs are, the newest; None without one."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return Path(found).parent if found else debian[-1].parent if debian else None


def need_postgresql() -> Path:
    """The programs, or a skip; in CI a failure, since there the second database must be tested."""
    programs = binaries()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("no PostgreSQL on this machine: install Debian's package postgresql")
        pytest.skip("no PostgreSQL on this machine: install Debian's package postgresql")
    return programs


@contextmanager
def postgresql(programs: Path) -> Iterator[str]:
    """A server that listens on a socket of its own only; yields the address of its first database."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as name:  # sockets have short names
        home = Path(name)
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(home, USER)
        home.chmod(0o755)
        data, options = home / "data", f"-k {home} -c listen_addresses= -c fsync=off -c max_connections=40"
        _run(programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8")
        _run(programs / "pg_ctl", "-D", data, "-o", options, "-l", home / "log", "-w", "start")
        try:
            yield f"postgresql+psycopg://{USER}@/postgres?host={home}"
        finally:
            _run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def _run(*command: str | Path) -> None:
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *words]
    surroundings = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        words,
        cwd="/",
        env=surroundings,
        stdout=subprocess.DEVNULL,  # the server keeps an open pipe
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, words


def new_schema(server: str, name: str) -> str:
    """A new schema of a server's database, where a registry's tables go; returns its address.

    A database of its own would be a copy of seven megabytes a test.
    """
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{server}&options=-csearch_path%3D{name}"
