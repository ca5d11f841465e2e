"""Pipeline `promotion` in containers: an approved version, and on loopback what its tasks talk to.

The registry is an SQLite file, packages go to an S3 server, the canary is `trace serve` in a container of the
same image; KServe with its API server and Prometheus are the stand-ins of the tests.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from scripts.pods import Containers, Given
from tests.contracts.s3 import BUCKET, CREDENTIALS, object_store
from tests.kubernetes.serving_cluster import Cluster, serving
from tests.registry.made import ANN, NAME, ROLES, Clock, Packages, World, rules
from tests.rollout.conftest import QUICK
from tests.rollout.prometheus import scraping

from trace_retriever.config.deploy import DeploySettings
from trace_retriever.config.promotion import Role
from trace_retriever.io.files import digest_bytes
from trace_retriever.kubeflow.compiled import Compiled
from trace_retriever.kubeflow.remote import ENDPOINT, Remote
from trace_retriever.registry.registry import VARIABLE, open_registry
from trace_retriever.registry.types import State, Version
from trace_retriever.rollout.arguments import as_argument
from trace_retriever.rollout.promotion import USER

STEPS = (20, 60)
RULES = rules(roles={**ROLES, USER: (Role.DEPLOYER,)})
READY_SECONDS = 180.0
NO_PROXY = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


class Renamed(Packages):
    """Packages of other versions, out of one that is there."""

    def __init__(self, root: Path, base: Path) -> None:
        self.root, self.base = root, base


@dataclass(frozen=True)
class Servers:
    """What listens on this machine: addresses, and the objects that the API server holds."""

    store: str
    prometheus: str
    canary: str
    kubeconfig: Path
    cluster: Cluster


def promote(containers: Containers, compiled: Compiled, model: str) -> None:
    """Refuse another digest than the approved one; then roll the version out, to all of the traffic.

    Args:
        containers: where tasks run.
        compiled: the pipeline.
        model: md5 of the version in the DVC remote.

    Raises:
        AssertionError: something else came of it.
    """
    folder = containers.work / "promotion"
    folder.mkdir()
    package = folder / "package"
    Remote(str(containers.work / "remote")).pull(model, package)
    url = f"sqlite:///{folder}/registry/registry.db"
    with open_registry(url, RULES) as registry:
        world = World(registry, Clock(), Renamed(folder / "made", package))
        version = prepare_registry(world, package)
        open_to_all(folder / "registry")
        ours = with_rules(compiled, folder / "promotion.yaml")
        with servers(containers, ours, folder, package, version) as found:
            given = arguments(found, version, model)
            pods = pods_of(found, url)
            with suppress(RuntimeError):
                containers.run(ours, given | {"manifest": f"sha256:{'0' * 64}"}, "not-approved", pods)
            if not any(containers.ran["not-approved"].get("exec-approved", [])) or found.cluster.applied:
                raise AssertionError("a digest that nobody approved was not refused at once")
            containers.run(ours, given, "promotion", pods)
            need_promoted(world, version, found)


def prepare_registry(world: World, package: Path) -> Version:
    """Another version into production, and the package's own approved; returns that."""
    world.production("0.0.1")
    version = world.registry.register(package, by=world.who(ANN))
    world.approve(world.registry.request(version, by=world.who(ANN), why="better on hops").id)
    return version


def open_to_all(folder: Path) -> None:
    """Let the image's user write the database: on a cluster it would be a server."""
    folder.chmod(0o777)
    for file in folder.glob("registry.db*"):
        file.chmod(0o666)


def with_rules(compiled: Compiled, path: Path) -> Compiled:
    """The pipeline as compiled where `deploy/promotion.yaml` lets it deploy: there nobody may, by default."""
    spec = json.loads(json.dumps(compiled.spec))
    for component in spec["components"].values():
        for task in component.get("dag", {}).get("tasks", {}).values():
            given = task.get("inputs", {}).get("parameters", {})
            if "rules" in given:
                given["rules"]["runtimeValue"]["constant"] = as_argument(RULES)
    path.write_text(yaml.safe_dump_all([spec, compiled.platform], sort_keys=False))
    return Compiled.load(path)


@contextmanager
def servers(
    containers: Containers, compiled: Compiled, folder: Path, package: Path, version: Version
) -> Iterator[Servers]:
    """All servers at work, the canary's ready to answer."""
    image = compiled.spec["deploymentSpec"]["executors"]["exec-canary"]["container"]["image"]
    cluster, http, grpc = Cluster(), free_port(), free_port()
    command = ["trace", "serve", f"--model={package}", f"--manifest={version.digests['manifest']}"]
    command += [f"--http-port={http}", f"--grpc-port={grpc}"]
    canary = f"http://127.0.0.1:{http}"
    with ExitStack() as stack:
        store = stack.enter_context(object_store())
        prometheus = stack.enter_context(scraping())
        kubeconfig = stack.enter_context(serving(folder, cluster))
        stack.enter_context(containers.beside(image, command, f"canary-{http}"))
        wait_ready(canary)
        yield Servers(store, prometheus.address, canary, kubeconfig, cluster)


def wait_ready(address: str) -> None:
    """Wait until a server answers that it is ready.

    Raises:
        AssertionError: not in time; its log lies beside the runs' logs.
    """
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{address}/v2/health/ready", trust_env=False).status_code == 200:
                return
        time.sleep(0.5)
    raise AssertionError(f"{address} is not ready after {READY_SECONDS:g} s: see canary-*.log")


def free_port() -> int:
    """A port of the loopback device that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def arguments(found: Servers, version: Version, model: str) -> dict[str, Any]:
    """What a person would give to `trace pipeline submit promotion`."""
    settings = DeploySettings.model_validate(
        {
            "image": "registry.example/trace:1",
            "packages": f"s3://{BUCKET}/packages",
            "prometheus": found.prometheus,
            "canary_address": found.canary,
            "champion": {"version": "0.0.1", "manifest": f"sha256:{'0' * 64}"},
        }
    )
    return {
        "model": model,
        "manifest": version.digests["manifest"],
        "name": version.name,
        "version": version.version,
        "rollout": as_argument(QUICK.model_copy(update={"steps": STEPS})),
        "serving": as_argument(settings),
    }


def pods_of(found: Servers, registry: str) -> dict[str, Given]:
    """What secrets, settings and account give each task; only those that talk to a server have a network."""
    known = {VARIABLE: registry}
    cluster = {**known, **NO_PROXY, "KUBECONFIG": str(found.kubeconfig)}
    return {
        "exec-approved": Given(known),
        "exec-publish": Given({**known, **NO_PROXY, **CREDENTIALS, ENDPOINT: found.store}, "host"),
        "exec-canary": Given(cluster, "host"),
        "exec-rollout": Given(cluster, "host"),
    }


def need_promoted(world: World, version: Version, found: Servers) -> None:
    """Hold registry, cluster and store against what a rollout must leave.

    Raises:
        AssertionError: it is otherwise.
    """
    champion = world.registry.champion(NAME)
    if champion is None or champion.label != version.label:
        raise AssertionError(f"in production is {champion and champion.label}, not {version.label}")
    if world.registry.version(NAME, "0.0.1").state is not State.RETIRED:
        raise AssertionError("the old champion is not retired")
    bodies = [body["spec"] for body in found.cluster.applied if body["kind"] == "InferenceService"]
    shares = [spec["canary"][0]["trafficPercent"] if "canary" in spec else None for spec in bodies]
    if shares != [0, *STEPS, None]:
        raise AssertionError(f"the canary's shares of the traffic were {shares}")
    uri = bodies[-1]["predictor"]["model"]["storageUri"]
    if digest_bytes(stored(found.store, f"{uri}/manifest.json")) != version.digests["manifest"]:
        raise AssertionError(f"{uri} holds another manifest than the approved one")


def stored(store: str, uri: str) -> bytes:
    """What lies in the object store under an address."""
    import fsspec

    system = fsspec.filesystem(
        "s3",
        endpoint_url=store,
        key=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        secret=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    return bytes(system.cat_file(uri))
