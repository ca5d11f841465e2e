"""Packages: what a registered model's directory is made of, kept by digest, compared again before use."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from trace_retriever.cards.manifest import EVIDENCE, MANIFEST, verify_registered
from trace_retriever.config.register import SEMVER
from trace_retriever.errors import DataError
from trace_retriever.io.files import (
    atomic_directory,
    digest_bytes,
    digest_file,
    digest_tree,
    read_json,
)
from trace_retriever.io.locks import claim
from trace_retriever.registry.errors import Conflict, RegistryError
from trace_retriever.registry.tables import canonical
from trace_retriever.registry.types import Version

NAME = r"[a-z][a-z0-9-]{0,62}[a-z0-9]"
DIGEST = r"sha256:[0-9a-f]{64}"
CHECK = r"[A-Za-z0-9 _.:-]{1,64}"
URI = r"(s3|gs|https|oci|pvc|hf)://[A-Za-z0-9][A-Za-z0-9._:/@+=-]{0,500}"


def read_package(package: Path) -> dict[str, Any]:
    """A verified package's own columns of `trace_versions`: name, version, digests, gates.

    Raises:
        DataError: not a registered model, or not as it was registered.
        RegistryError: its name or version is none.
    """
    manifest = verify_registered(package)
    name, version = str(manifest.get("name")), str(manifest.get("version"))
    if not re.fullmatch(NAME, name) or not re.fullmatch(SEMVER, version) or len(version) > 64:
        problem = f"a version is named like 'trace 1.2.3', not {name[:80]!r} {version[:80]!r}"
        raise RegistryError(problem, where=package / MANIFEST)
    try:
        digests = _digests(package, manifest)
        gates = _gates(read_json(package / EVIDENCE / "verdict.json"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"manifest or evidence are not those of a registered model: {error}"
        raise RegistryError(problem, where=package, remedy="register the model again") from None
    return {
        "name": name,
        "version": version,
        "manifest": digests["manifest"],
        "evidence": digests["evidence"],
        "digests": digests,
        "gates": gates,
    }


def _digests(package: Path, manifest: dict[str, Any]) -> dict[str, str]:
    """What names the version's parts; only what looks like a digest, since it is shown as one."""
    results = read_json(package / EVIDENCE / "results.json")
    found = {
        "manifest": digest_file(package / MANIFEST),
        "model": results.get("embeddings", {}).get("trace", {}).get("model"),
        "data": digest_bytes(canonical(manifest.get("data")).encode()),
        "code": manifest.get("code", {}).get("digest"),
        "params": digest_bytes(canonical(manifest.get("params")).encode()),
        "verdict": digest_file(package / EVIDENCE / "verdict.json"),
        "evidence": evidence_files_digest(package),
        "evaluation": manifest.get("evaluation"),
        "champion": manifest.get("champion"),
    }
    wrong = [name for name, value in found.items() if value and not re.fullmatch(DIGEST, value)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} named by no SHA-256")
    return {name: value for name, value in found.items() if value}


def _gates(verdict: dict[str, Any]) -> dict[str, bool | None]:
    """Check → held: False where it failed for any scope, None where it applied to none."""
    found: dict[str, bool | None] = {}
    for check in verdict["checks"]:
        name, passed = check["name"], check["passed"]
        if not re.fullmatch(CHECK, name):
            raise ValueError(f"a check named {name[:80]!r}")
        held = [value for value in (found.get(name), passed) if value is not None]
        found[name] = all(value is True for value in held) if held else None
    return found


def evidence_files_digest(package: Path) -> str:
    """Names what a reviewer sees: SHA-256 over the names and digests of the files below `evidence/`."""
    folder = package / EVIDENCE
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{file.relative_to(folder).as_posix()} {digest_file(file)}\n" for file in files]
    return digest_bytes("".join(lines).encode())


def index_digest(index: Path, model: str | None) -> str:
    """Digest of an embeddings directory, after checking that it is the model's.

    Raises:
        RegistryError: its vectors are another model's.
        DataError: not an embeddings directory.
    """
    about = read_json(index / "embed.json")
    if not model or about.get("model") != model:
        raise RegistryError(
            f"the index was made by model {about.get('model')}, the evaluated one is {model}",
            where=index / "embed.json",
            remedy="name the embeddings that were evaluated, or run `trace embed` and on again",
        )
    return digest_tree(index)


def origin(package: Path, made: Path) -> tuple[str | None, str | None]:
    """Commit and pipeline run that a package came from, as its step noted them.

    Args:
        made: the step's own manifest, `results/register/manifest.json`.

    Returns:
        Two Nones where there is none, or it is about another package.
    """
    if not made.is_file():
        return None, None
    noted = read_json(made)
    if not isinstance(noted, dict) or noted.get("output") != digest_tree(package):
        return None, None
    return noted.get("commit"), noted.get("run")


def checked_uri(uri: str) -> str:
    """An address that a package can be fetched from.

    Raises:
        RegistryError: it is not one.
    """
    if not re.fullmatch(URI, uri):
        raise RegistryError(f"not an address of a package: {uri[:80]!r}", remedy="such as s3://bucket/path")
    return uri


def keep(package: Path, digest: str, store: Path) -> Path:
    """Copy a verified package into the store, under its manifest's digest; returns the absolute directory.

    What lies there already is used if it is whole, and replaced if it is not.

    Raises:
        RegistryError, DataError: the package changed while it was copied.
    """
    target = store.resolve() / digest.removeprefix("sha256:")
    target.parent.mkdir(parents=True, exist_ok=True)
    with claim(target.with_name(f".{target.name}.lock"), wait=True):  # who comes second finds it whole
        if not (target.is_dir() and _whole(target, digest)):
            _copy(package, digest, target)
    return target


def _copy(package: Path, digest: str, target: Path) -> None:
    content = (package / MANIFEST).read_bytes()
    if digest_bytes(content) != digest:
        raise RegistryError("the package changed while it was read", where=package, remedy="try again")
    with atomic_directory(target) as partial:
        for name in [*json.loads(content)["files"], MANIFEST]:
            file = partial / name
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package / name, file)
            file.chmod(0o444)
        verify_registered(partial, digest)


def _whole(package: Path, digest: str) -> bool:
    try:
        verify_registered(package, digest)
    except DataError:
        return False
    return True


def need_same_bytes(version: Version) -> bool:
    """Compare each file of a version's package with the approved digest.

    Returns:
        Whether there was something to compare: False where the package is a URI.

    Raises:
        Conflict: they differ.
    """
    if version.directory is None:
        return False
    try:
        verify_registered(version.directory, version.digests["manifest"])
    except DataError as error:
        raise _changed(version, error.problem) from None
    return True


def need_same_evidence(version: Version) -> None:
    """Compare the evidence on disk, that reviewers are shown, with what was registered.

    Raises:
        Conflict: they differ.
    """
    if version.directory is None:
        return
    if evidence_files_digest(version.directory) != version.digests["evidence"]:
        raise _changed(version, "the evidence is not what was registered")


def _changed(version: Version, problem: str) -> Conflict:
    remedy = "an approval covers the approved bytes only: register the model again"
    return Conflict(f"{version.label}: {problem}", where=version.package, remedy=remedy)
