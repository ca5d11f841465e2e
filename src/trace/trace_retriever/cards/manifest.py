"""A registered model's manifest: what it is made of, by digest, and whether that is still so."""

from pathlib import Path
from typing import Any

import trace_retriever
from trace_retriever.errors import DataError
from trace_retriever.gates.evidence import evidence_digest
from trace_retriever.io.files import digest_bytes, digest_file, read_json

MANIFEST, EVIDENCE = "manifest.json", "evidence"
SOURCE_SUFFIXES = (".py", ".j2")


def code_digest() -> str:
    """SHA-256 over the names and contents of this package's source files."""
    root = Path(trace_retriever.__file__).parent
    files = sorted(path for path in root.rglob("*") if path.suffix in SOURCE_SUFFIXES)
    lines = [f"{file.relative_to(root).as_posix()} {digest_file(file)}\n" for file in files]
    return digest_bytes("".join(lines).encode())


def file_digests(root: Path) -> dict[str, dict[str, Any]]:
    """Relative name → digest and bytes, of every file below a directory but its manifest."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        file.relative_to(root).as_posix(): {"digest": digest_file(file), "bytes": file.stat().st_size}
        for file in files
        if file != root / MANIFEST
    }


def verify_registered(path: Path, expected: str | None = None) -> dict[str, Any]:
    """Check a registered model: every file by digest, none missing or added, evidence and verdict agreeing.

    The manifest cannot vouch for itself: whoever may rewrite it may rewrite all. Its own digest, noted
    elsewhere (step `register` puts it in its metrics), closes that.

    Args:
        path: the registered model's directory.
        expected: digest that the manifest itself must have, if it is known.

    Returns:
        The manifest.

    Raises:
        DataError: not a registered model, or not as it was registered; names each file.
    """
    file = path / MANIFEST
    manifest = read_json(file)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise DataError("not the manifest of a registered model", where=file)
    if expected is not None and (found := digest_file(file)) != expected:
        raise DataError(f"the manifest has digest {found}, expected {expected}", where=file)
    problems = _differences(manifest["files"], file_digests(path))
    if not problems:
        problems = _disagreements(manifest, path / EVIDENCE)
    if problems:
        remedy = "do not use it; fetch or register the model again"
        raise DataError(f"not as it was registered: {'; '.join(problems)}", where=path, remedy=remedy)
    return manifest


def _differences(listed: dict[str, dict[str, Any]], found: dict[str, dict[str, Any]]) -> list[str]:
    missing = [f"{name} is missing" for name in sorted(set(listed) - set(found))]
    added = [f"{name} was added" for name in sorted(set(found) - set(listed))]
    common = sorted(set(listed) & set(found))
    changed = [
        f"{name} was altered" for name in common if found[name]["digest"] != listed[name].get("digest")
    ]
    return missing + added + changed


def _disagreements(manifest: dict[str, Any], evidence: Path) -> list[str]:
    verdict = read_json(evidence / "verdict.json")
    problems = []
    if verdict.get("passed") is not True:
        problems.append("its verdict is not passed")
    if not verdict.get("evaluation") == manifest.get("evaluation") == evidence_digest(evidence):
        problems.append("its verdict is about another evaluation")
    return problems
