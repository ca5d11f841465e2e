"""The built CPU image at work. Too long for each run of the tests: TRACE_IMAGE_TESTS=1 asks for it.

It takes the image that is there. Where there is none, root's buildah and debootstrap make the base and the
image first, with the folder of wheels in WHEELS and the certificates in CA, as `scripts/images.sh` does.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.conftest import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IMAGE = os.environ.get("TRACE_IMAGE", f"localhost/trace-retriever:{VERSION}-cpu")
BASE = "localhost/debian:bookworm-slim"
TOOLS = ("buildah", "podman", "debootstrap")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(os.environ.get("TRACE_IMAGE_TESTS") != "1", reason="TRACE_IMAGE_TESTS is not 1"),
]


def run(*command: str | Path, **more: str) -> str:
    bare = {"CONTAINERS_CONF": str(ROOT / "containers/bare.conf")} if os.geteuid() == 0 else {}
    answer = subprocess.run(
        command, env={**bare, **os.environ, **more}, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert answer.returncode == 0, (answer.stdout + answer.stderr)[-4000:]
    return answer.stdout


def there(image: str) -> bool:
    return subprocess.run(["podman", "image", "exists", image], check=False).returncode == 0


@pytest.fixture(scope="module")
def image() -> str:
    """The image's name; built when it is not there."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    if not there(IMAGE):
        if os.geteuid() != 0:
            pytest.skip(f"{IMAGE} is not there, and only root can make its base")
        if not there(BASE):
            run(ROOT / "scripts/base_image.sh", BASE)
        run(ROOT / "scripts/images.sh", "cpu", BASE=BASE, ISOLATION="chroot", TAG=IMAGE)
    return IMAGE


def test_every_command_runs_without_root_network_or_a_writable_system(image: str) -> None:
    assert "every command ran" in run(ROOT / "scripts/image_check.sh", image)


def test_every_component_runs_its_container_command(image: str, tmp_path: Path) -> None:
    said = run(sys.executable, "-m", "scripts.image_components", tmp_path, "--image", image)
    for pipeline in ("training", "reindex", "promotion"):
        assert f"{pipeline}: all" in said
