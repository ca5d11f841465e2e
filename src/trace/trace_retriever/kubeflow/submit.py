"""A compiled pipeline on a cluster: through KFP's generated client, to its v2beta1 API."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from trace_retriever.errors import ConfigError, TraceError
from trace_retriever.io.files import digest_file, read_json, write_json
from trace_retriever.kubeflow.compiled import Compiled
from trace_retriever.kubeflow.local import new_run_name

Answer = TypeVar("Answer")
ATTEMPTS, FIRST_WAIT = 5, 0.5
SECONDS = 60.0  # that an answer may take; the client itself would wait for ever
TRANSIENT = (429, 500, 502, 503, 504)
ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A KFP API and how to get in. No token is ever shown or written.

    Attributes:
        host: its address.
        namespace: of the user, where there are several.
        experiment: runs are grouped by it; made where it is not there.
        token_file, token_env: where the bearer token is; neither sends none.
        ca_cert: certificate authority; certificates are always verified.
        service_account: of the run.
    """

    host: str
    namespace: str | None = None
    experiment: str = "trace"
    token_file: Path | None = None
    token_env: str | None = None
    ca_cert: Path | None = None
    service_account: str | None = None

    @cached_property
    def apis(self) -> tuple[Any, Any]:
        """KFP's generated clients, of experiments and of runs; makes no request yet.

        Not `kfp.Client`: its constructor asks the server for its health for half a minute before it says that
        a token is wrong, and keeps a context file in the user's home.

        Raises:
            ConfigError: no token where there should be one.
        """
        import kfp_server_api

        settings = kfp_server_api.Configuration(host=self.host.rstrip("/"))
        settings.verify_ssl = True
        settings.ssl_ca_cert = str(self.ca_cert) if self.ca_cert else None
        if token := self._token():
            settings.api_key = {"authorization": token}
            settings.api_key_prefix = {"authorization": "Bearer"}
            if self.token_file:
                settings.refresh_api_key_hook = self._refresh
        client = kfp_server_api.ApiClient(settings)
        return kfp_server_api.ExperimentServiceApi(client), kfp_server_api.RunServiceApi(client)

    def _token(self) -> str | None:
        if self.token_file:
            if not self.token_file.is_file():
                raise ConfigError("token file not found", where=self.token_file)
            return self.token_file.read_text(encoding="utf-8").strip()
        if self.token_env:
            if not (token := os.environ.get(self.token_env)):
                raise ConfigError(f"variable {self.token_env} holds no token", where="--token-env")
            return token
        return None

    def _refresh(self, settings: Any) -> None:
        settings.api_key["authorization"] = self._token()


def call(host: str, request: Callable[[], Answer]) -> Answer:
    """Make a request, again where the fault may pass; only for requests that may be made twice.

    Raises:
        TraceError: refused, not found, or still failing after several attempts.
    """
    tries = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(FIRST_WAIT, max=10.0),
        reraise=True,
    )
    try:
        return tries(request)
    except Exception as error:
        if (told := _explained(host, error)) is None:
            raise
        raise told from None  # the client's own message holds the whole request


def _may_pass(error: BaseException) -> bool:
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    return isinstance(error, HTTPError) or (isinstance(error, ApiException) and error.status in TRANSIENT)


def _explained(host: str, error: Exception) -> TraceError | None:
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    if isinstance(error, HTTPError):
        problem = f"the KFP API cannot be reached: {type(error).__name__}"
        return TraceError(problem, where=host, remedy="check the address, the certificate and the network")
    if not isinstance(error, ApiException):
        return None
    remedies = {
        401: "give a valid token: --token-file or --token-env",
        403: "the token's owner lacks the right in this namespace",
        404: "check --host (the API's address, not the page's) and the ids",
    }
    problem = f"the KFP API answered {error.status} {error.reason}: {_message(error.body)}"
    return TraceError(problem, where=host, remedy=remedies.get(error.status, "see the API server's log"))


def _message(body: Any) -> str:
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        found = json.loads(text)
    except ValueError:
        return text[:200]
    return (
        str(found.get("message") or found.get("error") or text)[:400]
        if isinstance(found, dict)
        else text[:200]
    )


def submit(
    server: Server, compiled: Compiled, arguments: Mapping[str, Any], *, commit: str | None, records: Path
) -> str:
    """Start a run, once: before a second attempt the server is asked whether the first one came through.

    Args:
        server: where to.
        compiled: what to run.
        arguments: parameter → value.
        commit: of the checkout; in the run's name, and in the note.
        records: folder of the note `<run>.json`, to be committed: the commit then names the run.

    Returns:
        The run's id.

    Raises:
        TraceError: see `call`.
    """
    name = f"{new_run_name(compiled.name)} {(commit or 'no commit')[:12]}"
    experiment = call(server.host, lambda: _experiment(server))
    run = call(server.host, lambda: _start(server, experiment, name, compiled, arguments))
    record = {
        "run": run,
        "name": name,
        "host": server.host,
        "namespace": server.namespace,
        "experiment": server.experiment,
        "pipeline": compiled.name,
        "compiled": digest_file(compiled.path),
        "commit": commit,
        "arguments": dict(arguments),
        "state": "PENDING",
    }
    write_json(records / f"{run}.json", record)
    return run


def _experiment(server: Server) -> str:
    """Id of the experiment, which is made where it is not there."""
    import kfp_server_api

    api, _ = server.apis
    own = {"namespace": server.namespace} if server.namespace else {}
    found = api.experiment_service_list_experiments(
        filter=_named(server.experiment), **own, _request_timeout=SECONDS
    ).experiments
    if not found:
        body = kfp_server_api.V2beta1Experiment(display_name=server.experiment, **own)
        found = [api.experiment_service_create_experiment(experiment=body, _request_timeout=SECONDS)]
    return str(found[0].experiment_id)


def _start(
    server: Server, experiment: str, name: str, compiled: Compiled, arguments: Mapping[str, Any]
) -> str:
    """Id of the run of that name, which is started where it is not there."""
    import kfp_server_api

    _, api = server.apis
    there = api.run_service_list_runs(
        experiment_id=experiment, filter=_named(name), _request_timeout=SECONDS
    ).runs
    if there:
        return str(there[0].run_id)
    documents = {"pipeline_spec": compiled.spec, "platform_spec": compiled.platform}
    body = kfp_server_api.V2beta1Run(
        experiment_id=experiment,
        display_name=name,
        pipeline_spec=documents if compiled.platform else compiled.spec,
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(arguments)),
        service_account=server.service_account,
    )
    return str(api.run_service_create_run(run=body, _request_timeout=SECONDS).run_id)


def _named(name: str) -> str:
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})


def follow(
    server: Server, run: str, *, records: Path, timeout: float, poll: float, say: Callable[[str], None]
) -> None:
    """Wait for a run's end and say what its tasks do.

    Not KFP's `wait_for_run_completion`, which never sees a cancelled run end.

    Raises:
        TraceError: the run failed, was cancelled or skipped, or did not end in time.
    """
    until, shown = time.monotonic() + timeout, dict[str, str]()
    while True:
        about = call(
            server.host, lambda: server.apis[1].run_service_get_run(run_id=run, _request_timeout=SECONDS)
        )
        state = str(about.state or "PENDING")
        tasks = {task.display_name or task.task_id: str(task.state) for task in _tasks(about)}
        for name, now in {"run": state, **tasks}.items():
            if shown.get(name) != now:
                shown[name] = now
                say(f"{name:<32} {now}")
        if state in ENDED:
            break
        if time.monotonic() + poll > until:
            raise TraceError(
                f"run {run} is {state} after {timeout:.0f} s", where=server.host, remedy="it goes on"
            )
        time.sleep(poll)
    file = records / f"{run}.json"
    write_json(file, (read_json(file) if file.exists() else {"run": run}) | {"state": state, "tasks": tasks})
    if state != "SUCCEEDED":
        failed = ", ".join(name for name, now in tasks.items() if now == "FAILED") or "no task said why"
        reason = f": {about.error.message}" if about.error else ""
        raise TraceError(f"run {run} ended {state}{reason}; failed: {failed}", where=server.host)


def _tasks(about: Any) -> list[Any]:
    return list((about.run_details.task_details if about.run_details else None) or [])
