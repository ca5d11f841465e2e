"""A short pipeline of this checkout's components, for tests of what runs pipelines: pull, verify, report."""

import shutil
from pathlib import Path

from tests.conftest import ROOT

from trace_retriever.io.files import write_atomic
from trace_retriever.kubeflow.compiled import compile_all

SOURCE = '''
"""Pipeline `fetch`."""

from components.pull.component import pull as pull_step
from components.report.component import report as report_step
from components.verify.component import verify as verify_step
from kfp import dsl

from pipelines.settings import on


@dsl.pipeline(name="fetch")
def fetch(model: str, manifest: str) -> None:
    """A model by its md5, checked against its manifest's digest."""
    last = on("report", report_step())
    with dsl.ExitHandler(last, name="chain"):
        registered = on("pull", pull_step(digest=model), "pull the version").outputs["out"]
        on("verify", verify_step(model=registered, manifest=manifest))
'''


def compile_fetch(root: Path) -> Path:
    """Compile it below a folder; returns what `--pipelines` takes."""
    pipelines = root / "pipelines"
    shutil.copytree(ROOT / "components", root / "components")
    shutil.copyfile(ROOT / "params.yaml", root / "params.yaml")
    pipelines.mkdir()
    for name in ("__init__.py", "settings.py", "cluster.yaml"):
        shutil.copyfile(ROOT / "pipelines" / name, pipelines / name)
    (pipelines / "fetch.py").write_text(SOURCE.lstrip())
    for name, text in compile_all(root).items():
        write_atomic(pipelines / "compiled" / name, text)
    return pipelines
