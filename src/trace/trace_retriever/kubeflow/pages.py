"""README.md and metadata.yaml of each component, written from its code: `python -m …kubeflow.pages`."""

import importlib
import sys
from pathlib import Path
from typing import Any

import yaml

from trace_retriever import __version__
from trace_retriever.config import SECTIONS, Section, section_type
from trace_retriever.io.files import write_atomic

MADE = "<!-- Made from component.py by `make pipelines`; not to be edited. -->"


def readme(component: Any, name: str) -> str:
    """A component's README: what it does, its interface, and the keys of its `config`."""
    spec = component.component_spec
    lines = [f"# {name}", "", MADE, "", spec.description or "", "", "## Inputs", ""]
    lines += ["| name | type | needed |", "|---|---|---|"]
    for key, about in (spec.inputs or {}).items():
        lines.append(f"| `{key}` | {_kind(about)} | {'no' if about.optional else 'yes'} |")
    lines += ["", "## Outputs", "", "| name | type |", "|---|---|"]
    lines += [f"| `{key}` | {_kind(about)} |" for key, about in (spec.outputs or {}).items()]
    if name in SECTIONS:
        lines += [
            "",
            "## `config`",
            "",
            f"The section `{name}` of `params.yaml`; a key that is absent has its default.",
        ]
        lines += ["", "| key | default | meaning |", "|---|---|---|", *_keys(section_type(name))]
    return "\n".join([*lines, ""])


def metadata(component: Any, name: str) -> dict[str, Any]:
    """A component's metadata, in the manner of kubeflow/pipelines-components."""
    return {
        "name": name,
        "description": component.component_spec.description,
        "stability": "alpha",
        "version": __version__,
        "dependencies": {"kubeflow": [{"name": "Pipelines", "version": ">=2.17,<3"}]},
        "tags": ["retrieval", "multimodal", "trace"],
        "step": name in SECTIONS,
    }


def _kind(about: Any) -> str:
    kind = str(about.type).removeprefix("system.").partition("@")[0]
    return f"list of {kind}" if getattr(about, "is_artifact_list", False) else kind


def _keys(section: type[Section], prefix: str = "") -> list[str]:
    rows = []
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            rows += _keys(inner, f"{prefix}{name}.")
        else:
            meaning = (field.description or "").replace("|", "\\|")
            default = _default(field.get_default(call_default_factory=True))
            rows.append(f"| `{prefix}{name}` | `{default}` | {meaning} |")
    return rows


def _default(value: Any) -> str:
    if isinstance(value, Section):
        value = value.model_dump(mode="json")
    text = "null" if value is None else str(value)
    return text.replace("|", "\\|")


def main(root: Path) -> None:
    """Write both files of every component below a checkout's `components/`."""
    sys.path.insert(0, str(root.resolve()))
    for path in sorted((root / "components").glob("*/component.py")):
        name = path.parent.name
        component = getattr(importlib.import_module(f"components.{name}.component"), name)
        write_atomic(path.parent / "README.md", readme(component, name))
        text = yaml.safe_dump(metadata(component, name), sort_keys=False)
        write_atomic(path.parent / "metadata.yaml", text)


if __name__ == "__main__":
    main(Path())
