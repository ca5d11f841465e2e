"""The images, as far as can be said without building them: who they run as, and that all is pinned."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.conftest import ROOT

FOLDER = ROOT / "containers"
KINDS = ("cpu", "gpu")
# What an image has otherwise than development, on purpose: a build for its devices.
OTHERWISE = {"torch", "faiss-cpu", "faiss-gpu"}
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def stages(kind: str) -> list[list[str]]:
    """The instructions of each stage, continued lines joined, comments left out."""
    text = (FOLDER / f"Containerfile.{kind}").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    instructions = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines()
    begins = [number for number, line in enumerate(instructions) if line.startswith("FROM ")]
    ends = [*begins[1:], len(instructions)]
    return [instructions[begin:end] for begin, end in zip(begins, ends, strict=True)]


def pins(path: Path) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in PIN.findall(path.read_text())}


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_runs_without_root_and_says_whether_it_is_well(kind: str) -> None:
    final = stages(kind)[-1]
    users = [line for line in final if line.startswith("USER ")]
    assert users[-1] == "USER 65532:65532"
    after = final[final.index(users[-1]) :]
    assert not any(line.startswith(("RUN", "COPY", "ADD")) for line in after)
    assert any(line.startswith("HEALTHCHECK ") and '"trace", "--version"' in line for line in final)
    assert final[-1].startswith("CMD ")


@pytest.mark.parametrize("kind", KINDS)
def test_no_installer_reaches_the_final_image(kind: str) -> None:
    *_, build, final = stages(kind)
    assert not any(re.search(r"\b(uv|pip|curl|wget)\b", line) for line in final)
    assert not any("/opt/tools" in line for line in final)
    copied = {line.split()[-1] for line in final if line.startswith("COPY")}
    assert copied == {"/opt/venv", "/opt/trace"}
    assert any("sbom.cdx.json" in line and "debian.txt" in line for line in build)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_installed_is_pinned_by_hash_or_is_this_package(kind: str) -> None:
    installs = [
        command
        for stage in stages(kind)
        for line in stage
        if line.startswith("RUN")
        for command in re.split(r"&&|;", line)
        if re.search(r"\bpip install\b", command)
    ]
    assert len(installs) == 3
    for command in installs:
        assert "--require-hashes" in command or {"--no-deps", "--no-index"} <= set(command.split())
    assert not any(re.search(r"\bADD\b|https?://", line) for stage in stages(kind) for line in stage)


@pytest.mark.parametrize("kind", KINDS)
def test_the_torch_of_the_containerfile_is_that_of_its_lock(kind: str) -> None:
    text = (FOLDER / f"Containerfile.{kind}").read_text()
    [asked] = re.findall(r"^ARG TORCH=(\S+)$", text, re.MULTILINE)
    assert pins(FOLDER / f"requirements.{kind}.lock")["torch"] == asked


@pytest.mark.parametrize("name", ["requirements.cpu.lock", "requirements.gpu.lock", "tools.lock"])
def test_every_package_of_a_lock_has_its_hashes(name: str) -> None:
    text = (FOLDER / name).read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) == len(pins(FOLDER / name)) > 1
    assert [block.split()[0] for block in blocks if not re.search(r"--hash=sha256:[0-9a-f]{64}", block)] == []
    assert "://" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_holds_all_that_the_package_wants_in_versions_that_it_takes(kind: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = pins(FOLDER / f"requirements.{kind}.lock")
    assert ("faiss-gpu" in found, "faiss-cpu" in found) == (kind == "gpu", kind == "cpu")
    for wanted in map(Requirement, project["dependencies"]):
        name = canonicalize_name(wanted.name)
        version = found.get("faiss-gpu") if (kind, name) == ("gpu", "faiss-cpu") else found.get(name)
        assert version is not None, f"{name}: run scripts/lock.sh {kind}"
        assert wanted.specifier.contains(version), f"{name} {version}: run scripts/lock.sh {kind}"


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_has_the_versions_that_development_has(kind: str) -> None:
    image, development = pins(FOLDER / f"requirements.{kind}.lock"), pins(ROOT / "requirements.lock")
    common = set(image) & set(development) - OTHERWISE
    assert len(common) > 100
    assert {name for name in common if image[name] != development[name]} == set()


def test_a_build_sees_the_package_and_its_locks_alone() -> None:
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines[0] == "*"
    assert {line for line in lines if line.startswith("!")} == {
        "!src",
        "!pyproject.toml",
        "!README.md",
        "!LICENSE",
        "!containers/*.lock",
    }


@pytest.mark.parametrize(
    ("arguments", "engine", "said"),
    [(["arm"], "buildah", "no such image: arm"), (["cpu"], "rocket", "no such engine: rocket")],
)
def test_a_wrong_word_to_the_build_is_named(arguments: list[str], engine: str, said: str) -> None:
    answer = subprocess.run(
        [ROOT / "scripts/images.sh", *arguments],
        env={**os.environ, "ENGINE": engine},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert said in answer.stderr
