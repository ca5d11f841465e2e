"""Run every component's container command in the image, as the compiled pipelines have it, on toy data.

python -m scripts.image_components WORK [--engine podman] [--image IMAGE]

KFP's local runner walks `pipelines/compiled/*.yaml` and fills in each executor input; the command and args of
the executor's `container` section then run in a container of their own: user of the image, root file system
read-only, no capability, scratch in memory. A task that talks to a server has this machine's network, others
have none. WORK, an empty directory, is all that they share.
"""

import argparse
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.image_promotion import promote
from scripts.pods import Containers
from scripts.toy import PROFILE, TOY

from trace_retriever.io.files import read_json
from trace_retriever.kubeflow.arguments import arguments_of
from trace_retriever.kubeflow.compiled import Compiled, compiled_path, pipeline_names

PIPELINES = Path(__file__).parents[1] / "pipelines"
TWO = "train.processes=2"  # that meet over the loopback device alone


def left(work: Path, step: str, **fields: str) -> dict[str, Any]:
    """What the one task of the training run that was this step's left, by its own note."""
    notes = map(read_json, (work / "ledger/training").glob(f"{step}-*.json"))
    [found] = [note for note in notes if note["state"] == "done" and note["fields"] == fields]
    return dict(found)


def check(containers: Containers) -> None:
    """Train; index anew what came of it, once as approved, once with another digest; roll it out."""
    pipelines = {name: Compiled.load(compiled_path(PIPELINES, name)) for name in pipeline_names(PIPELINES)}
    training, reindex = pipelines["training"], pipelines["reindex"]
    given = arguments_of(training.parameters, training.defaults, PROFILE, (*TOY, TWO), ())
    containers.run(training, given, "training")
    registered = left(containers.work, "register")
    digests = {
        "dataset": left(containers.work, "prepare")["outputs"]["dvc"],
        "model": registered["outputs"]["dvc"],
        "previous": left(containers.work, "embed", model="trace")["outputs"]["dvc"],
        "manifest": registered["metrics"]["manifest_digest"],
    }
    containers.run(reindex, {"embed": given["embed"], **digests}, "reindex")
    with suppress(RuntimeError):
        containers.run(reindex, digests | {"manifest": f"sha256:{'0' * 64}"}, "refused")
    if not any(containers.ran["refused"].get("exec-verify", [])):
        raise AssertionError("a model with another manifest than the approved one was not refused")
    promote(containers, pipelines["promotion"], digests["model"])
    for name, compiled in pipelines.items():
        need_all(containers, name, compiled)


def need_all(containers: Containers, name: str, compiled: Compiled) -> None:
    """Say how many container commands of a pipeline ran, and in how many tasks.

    Raises:
        AssertionError: one never did.
    """
    executors, ran = set(compiled.spec["deploymentSpec"]["executors"]), containers.ran[name]
    if missing := executors - set(ran):
        raise AssertionError(f"{name}: never ran: {', '.join(sorted(missing))}")
    tasks = sum(map(len, ran.values()))
    print(f"{name}: all {len(executors)} container commands ran, in {tasks} tasks")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # KFP's, about images that are not named python
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--engine", default="podman")
    parser.add_argument("--image")
    options = parser.parse_args()
    options.work.chmod(0o777)  # tasks run as the image's user
    check(Containers(options.engine, options.image, options.work.resolve()))
