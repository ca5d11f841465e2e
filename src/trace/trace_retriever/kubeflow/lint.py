"""What a compiled pipeline may hold for the local runner and not for a cluster, or the other way round."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trace_retriever.kubeflow.compiled import Compiled

# YAML 1.1 reads these words as booleans or null; the backend's parser does, and refuses the pipeline.
YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"}
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SECRET = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|ACCESS_KEY(_ID)?)$", re.IGNORECASE)
LARGEST = 1024 * 1024
PIP = re.compile(r"pip3?\s+install")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: its name.
        where: component, executor or parameter.
        why: what happens, and what to do.
    """

    rule: str
    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.where}: {self.why}"


def lint(compiled: Compiled) -> list[Finding]:
    """Check a compiled pipeline by all rules."""
    rules = (_yaml_words, _names, _commands, _images, _secrets, _size)
    return [finding for rule in rules for finding in rule(compiled)]


def _yaml_words(compiled: Compiled) -> Iterator[Finding]:
    for component, definition in [("root", compiled.spec["root"]), *_components(compiled)]:
        for side in ("inputDefinitions", "outputDefinitions"):
            for kind in ("parameters", "artifacts"):
                for name in definition.get(side, {}).get(kind, {}):
                    if str(name).lower() in YAML_WORDS:
                        why = "the backend reads this name as a boolean and refuses the pipeline; rename it"
                        yield Finding("yaml-word", f"{component}, {name!s}", why)


def _names(compiled: Compiled) -> Iterator[Finding]:
    if not NAME.fullmatch(compiled.name):
        why = "Kubernetes takes lower-case letters, digits and dashes only, 63 at most"
        yield Finding("name", compiled.name, why)


def _commands(compiled: Compiled) -> Iterator[Finding]:
    for name, container in _containers(compiled):
        command = " ".join([*container.get("command", []), *container.get("args", [])])
        if "kfp.dsl.executor_main" not in command:
            why = "the local runner runs no container components; make it a Python component"
            yield Finding("container-component", name, why)
        if PIP.search(command):
            why = "it would install packages in the pod; they belong in the image, pinned"
            yield Finding("pip-install", name, why)


def _images(compiled: Compiled) -> Iterator[Finding]:
    for name, container in _containers(compiled):
        image = str(container.get("image", ""))
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in image and tag in ("", "latest"):
            why = f"{image or 'no image'} names other content tomorrow, and cached outputs with it; pin it"
            yield Finding("image", name, why)


def _secrets(compiled: Compiled) -> Iterator[Finding]:
    for name, container in _containers(compiled):
        for variable in container.get("env", []):
            if SECRET.search(variable["name"]) and variable.get("value"):
                why = (
                    "a literal value of this name is in every manifest; use `secrets` of the cluster settings"
                )
                yield Finding("secret", f"{name}, {variable['name']}", why)


def _size(compiled: Compiled) -> Iterator[Finding]:
    size = compiled.path.stat().st_size
    if size > LARGEST:
        why = f"{size:,} bytes; the API server keeps objects of about 1.5 million at most, status included"
        yield Finding("size", compiled.name, why)


def _components(compiled: Compiled) -> list[tuple[str, dict[str, Any]]]:
    return list(compiled.spec.get("components", {}).items())


def _containers(compiled: Compiled) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, executor in compiled.spec.get("deploymentSpec", {}).get("executors", {}).items():
        if "container" in executor:
            yield name, executor["container"]
