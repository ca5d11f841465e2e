"""Step `train` as a TrainJob, over HTTP, on two machines that really train."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import cluster  # type: ignore[import-not-found]
from trainer import TOKEN, Trainer, serving  # type: ignore[import-not-found]

from trace_retriever.config import check_section
from trace_retriever.config.cluster import ClusterSettings
from trace_retriever.config.train import TrainConfig
from trace_retriever.errors import TraceError
from trace_retriever.io.files import digest_tree, read_json
from trace_retriever.kubeflow.component import run_component
from trace_retriever.kubeflow.ledger import RUN
from trace_retriever.kubeflow.multi_node import NAMESPACE, TRAIN_CLUSTER, as_variable, cluster_of
from trace_retriever.kubernetes.api import ClusterError, TrainJobs
from trace_retriever.kubernetes.remote import run_train_job
from trace_retriever.runner import run_step

pytestmark = pytest.mark.timeout(900)
INPUTS = ("dataset", "routes", "kept", "validation", "backbone")
QUICK = {
    "steps": 8,
    "batch": 8,
    "warmup": 2,
    "processes": 2,
    "checkpoint_every": 4,
    "log_every": 2,
    "sampling": {"group": 2},
    "loss": {"direct_weight": 0.0},
    "validation": {"every": 0},
}


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainer]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    (tmp_path / "pods").mkdir()
    with serving(tmp_path / "pods") as (found, config):
        monkeypatch.setenv("KUBECONFIG", str(config))
        yield found


def two_machines(shared: Path) -> ClusterSettings:
    made: ClusterSettings = cluster(str(shared), processes_per_node=1)
    pod = {**made.steps["train"], "accelerator": None, "image": "cpu"}
    return made.model_copy(update={"steps": {"train": pod}})


def config() -> TrainConfig:
    found = check_section("train", QUICK, where="test")
    assert isinstance(found, TrainConfig)
    return found


def run(world: Path, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "shared").mkdir(exist_ok=True)
    return run_train_job(
        config(),
        two_machines(tmp_path / "shared"),
        inputs={name: world / name for name in INPUTS},
        out=tmp_path / "model",
        report=tmp_path / "report",
        poll=0.2,
    )


@pytest.mark.slow
def test_it_leaves_what_the_step_leaves_here(
    world: Path, trainer: Trainer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trainer.trouble = [503, 500, 429]
    metrics = run(world, tmp_path)
    assert_as_alone(metrics, world, tmp_path, tmp_path / "model")
    assert not trainer.jobs, "a job that is done is removed"
    assert not list((tmp_path / "shared/work/train-jobs").iterdir())
    said = capfd.readouterr().err
    assert "all machines are done" in said
    assert TOKEN not in said


def assert_as_alone(metrics: dict[str, Any], world: Path, tmp_path: Path, model: Path) -> None:
    """What a TrainJob left is what the step leaves on one machine."""
    alone = tmp_path / "alone"
    inputs = {name: world / name for name in INPUTS}
    assert metrics == run_step(
        "train",
        config(),
        inputs=inputs,
        out=alone / "model",
        report=alone / "report",
        work_root=alone / "work",
    )
    assert digest_tree(model) == digest_tree(alone / "model")


@pytest.mark.slow
def test_the_component_has_a_train_job_run_it_where_the_settings_say_so(
    world: Path, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.kubeflow.artifacts import here, outputs

    (tmp_path / "shared").mkdir()
    monkeypatch.setenv(TRAIN_CLUSTER, as_variable(two_machines(tmp_path / "shared")))
    monkeypatch.setenv(NAMESPACE, "of-the-run")
    monkeypatch.setenv(RUN, "run-7")
    made = outputs(tmp_path / "made")
    inputs = {name: here(world / name) for name in INPUTS}
    run_component("train", QUICK, inputs, made, variant="trace")
    assert_as_alone(read_json(Path(made["metrics"].path)), world, tmp_path, Path(made["out"].path))
    [created] = [path for verb, path in trainer.requests if verb == "POST"]
    assert "/namespaces/of-the-run/trainjobs" in created
    manifest = read_json(Path(made["report"].path) / "manifest.json")
    assert manifest["run"] == "run-7"
    assert made["out"].metadata["digest"] == manifest["output"] == digest_tree(Path(made["out"].path))
    assert Path(made["page"].path).stat().st_size > 0


def test_a_component_of_another_step_starts_no_train_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRAIN_CLUSTER, as_variable(two_machines(Path("/shared"))))
    assert cluster_of("backbone") is None
    assert cluster_of("train") == two_machines(Path("/shared"))


@pytest.mark.slow
def test_a_job_that_failed_says_why_and_is_started_again(
    world: Path, trainer: Trainer, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(world, tmp_path / "world"))
    (broken / "backbone/model.safetensors").write_bytes(b"not weights")
    trainer.backoff = 0
    for attempt in range(2):
        with pytest.raises(
            TraceError, match=r"(?s)TrainJob train-\w+ failed: .*backoff limit\n.*remedy: mend"
        ):
            run(broken, tmp_path)
        assert sum(verb == "POST" for verb, _ in trainer.requests) == attempt + 1
    assert not (tmp_path / "model").exists()


def test_a_refusal_names_its_remedy_and_no_credentials(trainer: Trainer) -> None:
    trainer.trouble = [403]
    with pytest.raises(
        ClusterError, match=r"(?s)answers 403: as the test asked.*deploy/rights\.yaml"
    ) as caught:
        TrainJobs("here").state("train-1")
    assert TOKEN not in str(caught.value)


@pytest.mark.usefixtures("trainer")
def test_an_object_that_the_schema_refuses_is_an_error() -> None:
    body = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "x"},
        "spec": {},
    }
    with pytest.raises(ClusterError, match=r"422: .*'runtimeRef' is a required property"):
        TrainJobs("here").create(body)


def test_without_a_cluster_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ClusterError, match="no cluster is known here"):
        TrainJobs("here")
