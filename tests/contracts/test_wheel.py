"""The built wheel works from anywhere, and leaves Python's own module `trace` alone."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from tests.contracts.code import ROOT, modules

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that holds the wheel, and sees this one's other packages."""
    home = tmp_path_factory.mktemp("elsewhere")
    venv.create(home / "env", with_pip=True)
    packages = next((home / "env").glob("lib/python*/site-packages"))
    programs = home / "env" / "bin"
    options = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    subprocess.run([programs / "pip", "install", *options, str(wheel)], check=True, timeout=120)
    # The dependencies come from this environment; the .pth files in it (the editable install) are not read.
    site = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (packages / "others.pth").write_text(f"{site}\n")
    return programs


def run(*command: str | Path, cwd: Path) -> str:
    surroundings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    answer = subprocess.run(
        list(map(str, command)), cwd=cwd, env=surroundings, capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_the_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    code = {name for name in names if name.endswith(".py")}
    assert len(code) == len(modules())
    assert {name.split("/")[0] for name in names} == {"trace_retriever"}
    assert not any("__pycache__" in name for name in names)


def test_the_package_is_imported_from_the_wheel_and_not_from_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    where = run(installed / "python", "-c", "import trace_retriever as t; print(t.__file__)", cwd=tmp_path)
    assert Path(where).is_relative_to(installed.parent)


def test_the_command_works_from_another_directory(installed: Path, tmp_path: Path) -> None:
    text = run(installed / "trace", "--help", cwd=tmp_path)
    assert "evaluate" in text
    assert "register" in text


def test_the_name_trace_is_still_the_standard_library_s(installed: Path, tmp_path: Path) -> None:
    where = run(installed / "python", "-c", "import trace; print(trace.__file__)", cwd=tmp_path)
    assert Path(where) == Path(sysconfig.get_path("stdlib")) / "trace.py"
