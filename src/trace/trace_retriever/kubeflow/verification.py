"""Component `verify`: is this model, byte for byte, the one that was approved?"""

from pathlib import Path

from trace_retriever.cards.manifest import verify_registered
from trace_retriever.io.files import write_atomic
from trace_retriever.kubeflow.artifacts import Artifact
from trace_retriever.kubeflow.ledger import noted


def verify_component(model: Artifact, manifest: str, summary: Artifact) -> None:
    """Check every file of a registered model, and its manifest against the digest that was approved.

    Args:
        model: the registered model's directory.
        manifest: digest of its `manifest.json`, as step `register` put it in its metrics.
        summary: Markdown of what was checked.

    Raises:
        DataError: it is another model, or not as it was registered.
    """
    with noted("verify", {"manifest": manifest}) as entry:
        found = verify_registered(Path(model.path), manifest)
        entry.metrics = {"name": found["name"], "version": found["version"], "files": len(found["files"])}
        entry.outputs = {"manifest": manifest}
        lines = [
            f"# {found['name']} {found['version']}",
            "",
            f"{len(found['files'])} files as registered.",
            "",
        ]
        rows = [f"| `{name}` | `{file['digest']}` |" for name, file in found["files"].items()]
        text = "\n".join([*lines, f"Manifest: `{manifest}`", "", "| file | digest |", "|---|---|", *rows, ""])
        write_atomic(Path(summary.path), text)
