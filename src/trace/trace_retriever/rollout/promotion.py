"""What the tasks of pipeline `promotion` do; a component's body is an import and a call of one of these.

The tasks share nothing but the registry and the cluster: each can be tried again after a kill. What fails
once the canary has begun gives the champion its traffic back and the registry the reason.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trace_retriever.config.deploy import DeploySettings
from trace_retriever.config.promotion import RegistryRules
from trace_retriever.config.rollout import RolloutRules
from trace_retriever.errors import ConfigError, TraceError
from trace_retriever.io.files import write_atomic
from trace_retriever.kubeflow.artifacts import Artifact
from trace_retriever.kubeflow.ledger import Entry, noted
from trace_retriever.registry.registry import VARIABLE, Registry, open_registry
from trace_retriever.registry.types import Actor, State, Version
from trace_retriever.rollout.acts import (
    abort,
    begin,
    finish,
    need_deployable,
    need_undecided,
    promoted_because,
)
from trace_retriever.rollout.arguments import section_from
from trace_retriever.rollout.cluster import ClusterTarget
from trace_retriever.rollout.errors import ChampionLost, RolledBack, RolloutError
from trace_retriever.rollout.packages import publish
from trace_retriever.rollout.references import sample_queries, with_expected
from trace_retriever.rollout.smoke import check_smoke
from trace_retriever.rollout.steps import run_steps

USER = "promotion-pipeline"  # needs the role `deployer` in deploy/promotion.yaml


@dataclass(frozen=True)
class _Task:
    """One version in the registry that this pod was given."""

    registry: Registry
    version: Version

    @property
    def by(self) -> Actor:
        return self.registry.actor(USER)


@contextmanager
def _opened(name: str, version: str, manifest: str, rules: Mapping[str, Any]) -> Iterator[_Task]:
    """The version, held against the digest that this run is about.

    Raises:
        ConfigError: this pod was given no registry.
        RolloutError: the version has another digest.
    """
    url = os.environ.get(VARIABLE)
    if not url:
        raise ConfigError(
            f"{VARIABLE} is not set",
            where="pipelines/cluster.yaml",
            remedy="fill it from a Secret: steps.<task>.secrets",
        )
    with open_registry(url, section_from(RegistryRules, rules, "registry")) as registry:
        found = registry.version(name, version)
        if found.digests["manifest"] != manifest:
            raise RolloutError(
                f"{found.label} has manifest {found.digests['manifest']}, this run is about {manifest}",
                remedy="what was approved is the registry's digest; start the run with that",
            )
        yield _Task(registry, found)


def approved_component(
    name: str, version: str, manifest: str, rules: Mapping[str, Any], summary: Artifact
) -> None:
    """Component `approved`: does the registry say that this version, by digest, may be deployed?

    Raises:
        RolloutError: it does not.
    """
    with noted("approved", {"version": version}) as entry, _opened(name, version, manifest, rules) as task:
        need_deployable(task.version)
        entry.metrics = {"state": str(task.version.state)}
        entry.outputs = {"manifest": manifest}
        text = f"# {task.version.label}: {task.version.state}\n\nManifest: `{manifest}`\n"
        write_atomic(Path(summary.path), text)


def publish_component(model: Artifact, manifest: str, serving: Mapping[str, Any]) -> None:
    """Component `publish`: the package into the store that servers fetch from."""
    with noted("publish", {}) as entry:
        settings = section_from(DeploySettings, serving, "serving")
        target = f"{settings.packages_path.rstrip('/')}/{manifest.removeprefix('sha256:')}"
        entry.metrics = {"files": publish(Path(model.path), manifest, target)}
        entry.outputs, entry.place = {"manifest": manifest}, target


def canary_component(
    model: Artifact,
    name: str,
    version: str,
    manifest: str,
    rules: Mapping[str, Any],
    rollout: Mapping[str, Any],
    serving: Mapping[str, Any],
) -> None:
    """Component `canary`: serve the version without traffic, and check its answers and a little load."""
    how = section_from(RolloutRules, rollout, "rollout")
    with _trying("canary", name, version, manifest, rules, how, serving) as (_, target, entry):
        target.set_percent(0)
        queries = with_expected(Path(model.path), sample_queries(Path(model.path)))
        entry.metrics = check_smoke(target.address(), target.settings.name, queries, how.smoke)


def rollout_component(
    name: str,
    version: str,
    manifest: str,
    rules: Mapping[str, Any],
    rollout: Mapping[str, Any],
    serving: Mapping[str, Any],
    summary: Artifact,
) -> None:
    """Component `rollout`: the steps, then all of the traffic, or back.

    A try that follows one which was killed after it had decided ends as that one would have.

    Raises:
        RolledBack: a rule was broken; the champion has all of the traffic.
    """
    how = section_from(RolloutRules, rollout, "rollout")
    if _promoted_before(name, version, manifest, rules, summary):
        return
    with _trying("rollout", name, version, manifest, rules, how, serving) as (task, target, entry):
        outcome = run_steps(target, how, print)
        entry.metrics = {"passed": outcome.passed, "percent": outcome.percent, "reason": outcome.reason}
        word = "in production" if outcome.passed else f"sent back at {outcome.percent} %"
        _say_outcome(summary, f"{task.version.label}: {word}", outcome.reason)
        if not outcome.passed:
            raise RolledBack(outcome.reason)
        target.promote()
        finish(
            task.registry, task.version, by=task.by, why=outcome.reason, figures=outcome.figures, say=print
        )


def _promoted_before(
    name: str, version: str, manifest: str, rules: Mapping[str, Any], summary: Artifact
) -> bool:
    """Whether an earlier try of this task was killed once all was done; its outcome is then this one's."""
    with _opened(name, version, manifest, rules) as task:
        why = promoted_because(task.registry, task.version)
        if why is None:
            return False
        with noted("rollout", {"version": version}) as entry:
            entry.metrics = {"passed": True, "percent": 100, "reason": why}
            _say_outcome(summary, f"{task.version.label}: in production", why)
        return True


def _say_outcome(summary: Artifact, heading: str, reason: str) -> None:
    write_atomic(Path(summary.path), f"# {heading}\n\n{reason}\n")


@contextmanager
def _trying(
    step: str,
    name: str,
    version: str,
    manifest: str,
    rules: Mapping[str, Any],
    how: RolloutRules,
    serving: Mapping[str, Any],
) -> Iterator[tuple[_Task, ClusterTarget, Entry]]:
    """A task on the canary: what fails in it sends the canary back, in the cluster first.

    Only the champion's own end decides nothing.
    """
    settings = section_from(DeploySettings, serving, "serving")
    with noted(step, {"version": version}) as entry, _opened(name, version, manifest, rules) as task:
        need_undecided(task.registry, task.version)
        canary = begin(task.registry, task.version, by=task.by, say=print)
        target = ClusterTarget.of(task.registry, canary, settings, print, how.ready_seconds)
        try:
            yield task, target, entry
        except ChampionLost:
            raise  # the next try takes it up again
        except Exception as error:  # a bug of ours is no reason to leave it in the traffic
            why = error.problem if isinstance(error, TraceError) else f"{type(error).__name__}: {error}"
            _send_back(task, target, why, dict(entry.metrics))
            raise
        finally:
            task.registry.deliver()


def _send_back(task: _Task, target: ClusterTarget, why: str, figures: dict[str, Any]) -> None:
    if task.registry.version(task.version.name, task.version.version).state is not State.CANARY:
        return  # promoted, and what failed came after
    try:
        target.restore()
    finally:
        abort(task.registry, task.version, by=task.by, why=why, figures=figures, say=print)
