"""Compiled pipelines: what the cluster gets, what the local runner runs, what Git keeps."""

import hashlib
import importlib
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trace_retriever.errors import DataError
from trace_retriever.kubeflow.arguments import from_argument

PIPELINES = Path("pipelines")
HEADER = (
    "# Made by `trace pipeline compile` from pipelines/*.py and pipelines/cluster.yaml; not to be edited.\n"
)
PACKAGES = ("pipelines", "components")


@dataclass(frozen=True)
class Compiled:
    """A compiled pipeline, as it lies in `pipelines/compiled/<name>.yaml`.

    Attributes:
        path: the file.
        spec: its first document, the pipeline itself.
        platform: its second, what Kubernetes adds to the tasks.
    """

    path: Path
    spec: dict[str, Any]
    platform: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> "Compiled":
        """Read a file.

        Raises:
            DataError: it is missing, or is no compiled pipeline.
        """
        try:
            documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            known = ", ".join(
                sorted(file.stem for file in path.parent.glob("*.yaml") if "." not in file.stem)
            )
            remedy = (
                f"there are: {known}" if known else "run in a checkout, or name the folder with --pipelines"
            )
            raise DataError("no such pipeline", where=path, remedy=remedy) from None
        except yaml.YAMLError as error:
            raise DataError(f"not valid YAML: {error}", where=path) from None
        if not documents or "pipelineInfo" not in (documents[0] or {}):
            raise DataError("not a compiled pipeline", where=path, remedy="run `trace pipeline compile`")
        return cls(path, documents[0], documents[1] if len(documents) > 1 else {})

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return str(self.spec["pipelineInfo"]["name"])

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Name → definition (`parameterType`, `defaultValue`, ...)."""
        found: dict[str, dict[str, Any]] = self.spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return found

    @property
    def defaults(self) -> dict[str, Any]:
        """Name → what it is when nothing is given."""
        given = {name: about.get("defaultValue") for name, about in self.parameters.items()}
        return {name: from_argument(value) for name, value in given.items() if value is not None}


def compiled_path(pipelines: Path, name: str) -> Path:
    """Where a pipeline's compiled form is."""
    return pipelines / "compiled" / f"{name}.yaml"


def pipeline_names(pipelines: Path) -> list[str]:
    """The pipelines whose source is there."""
    return sorted(path.stem for path in pipelines.glob("[a-z]*.py") if path.stem != "settings")


def compile_all(root: Path) -> dict[str, str]:
    """Compile every pipeline of a checkout, in both forms.

    Args:
        root: holds `pipelines/` and `components/`.

    Returns:
        File name in `pipelines/compiled/` → content.

    Raises:
        DataError: there are no pipelines.
    """
    names = pipeline_names(root / PIPELINES)
    if not names:
        raise DataError("no pipelines here", where=root / PIPELINES, remedy="run in a checkout")
    with _importable(root), tempfile.TemporaryDirectory() as folder:
        return {file: text for name in names for file, text in _compile(name, Path(folder, "x.yaml")).items()}


def drifted(root: Path) -> list[str]:
    """The compiled files that are not what their sources say now, or have no source; none when current."""
    wanted, folder = compile_all(root), root / PIPELINES / "compiled"
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yaml")}
    return sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))


def _compile(name: str, scratch: Path) -> dict[str, str]:
    from kfp.compiler import Compiler
    from kfp.compiler.compiler_utils import KubernetesManifestOptions
    from pipelines.settings import CLUSTER

    function = getattr(importlib.import_module(f"pipelines.{name}"), name)
    Compiler().compile(function, str(scratch))
    text = HEADER + _without_comments(scratch.read_text(encoding="utf-8"))
    # a version's content never changes: other content, other name
    version = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    options = KubernetesManifestOptions(
        pipeline_name=name,
        pipeline_version_name=version,
        namespace=CLUSTER.namespace,
        include_pipeline_manifest=True,
    )
    Compiler().compile(
        function, str(scratch), kubernetes_manifest_format=True, kubernetes_manifest_options=options
    )
    return {f"{name}.yaml": text, f"{name}.kubernetes.yaml": scratch.read_text(encoding="utf-8")}


def _without_comments(text: str) -> str:
    """KFP heads the file with its parameters, defaults in an order that differs between processes."""
    lines = text.splitlines(keepends=True)
    return "".join(lines[next(i for i, line in enumerate(lines) if not line.startswith("#")) :])


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Have this checkout's pipelines and components imported, and no other's."""
    _forget()
    sys.path.insert(0, str(root.resolve()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        sys.path.remove(str(root.resolve()))
        _forget()


def _forget() -> None:
    for module in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
        del sys.modules[module]
