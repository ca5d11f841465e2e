"""The rollout on one machine: two serving processes behind a split, and the registry told of each act."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from trace_retriever.config.rollout import RolloutRules
from trace_retriever.errors import TraceError
from trace_retriever.registry.registry import Registry
from trace_retriever.registry.types import Actor, Version
from trace_retriever.rollout.acts import abort, begin, finish, need_deployable
from trace_retriever.rollout.command import MODEL, directory_of, index_options, serve_command
from trace_retriever.rollout.errors import ChampionLost, RolledBack
from trace_retriever.rollout.load import Shape, run_load
from trace_retriever.rollout.metrics import Snapshot
from trace_retriever.rollout.processes import Serving, free_port
from trace_retriever.rollout.proxy import Split
from trace_retriever.rollout.references import PLAIN, Reference, sample_queries, with_expected
from trace_retriever.rollout.server import proxying
from trace_retriever.rollout.smoke import check_smoke
from trace_retriever.rollout.steps import Clock, Outcome, Say, Side, run_steps


@dataclass(frozen=True, kw_only=True)
class Local:
    """How a rollout is run here.

    Attributes:
        host, port: where clients reach the split; port 0 takes any.
        logs: folder of the serving processes' logs.
        traffic: requests a second that the rollout sends itself; 0 leaves that to clients.
        smoke: whether answers are compared with the model's own before there is traffic.
        command: what serves a version on a port.
        on_promoted: called with the split's address while the new champion still serves.
    """

    host: str = "127.0.0.1"
    port: int = 0
    logs: Path = Path(".trace/deploy")
    traffic: float = 0.0
    smoke: bool = True
    command: Callable[[Version, int], Sequence[str]] = serve_command
    queries: Sequence[Reference] | None = None
    on_promoted: Callable[[str], None] | None = None
    clock: Clock = field(default_factory=Clock)


@dataclass
class _Sides:
    """Champion and canary as processes behind one split: the `Target` of the steps."""

    canary: Serving
    champion: Serving | None
    split: Split

    @property
    def has_champion(self) -> bool:
        return self.champion is not None

    def _side(self, side: Side) -> Serving:
        found = self.canary if side == "canary" else self.champion
        assert found is not None
        return found

    def snapshot(self, side: Side) -> Snapshot:
        return self._side(side).snapshot()

    def gone(self, side: Side) -> str | None:
        return self._side(side).gone()

    def set_percent(self, percent: int) -> None:
        self.split.percent = percent


def deploy_local(
    registry: Registry, version: Version, *, by: Actor, rules: RolloutRules, how: Local, say: Say
) -> Outcome:
    """Roll a version out here: as canary, in steps, into production or back.

    A version that is the canary already, since an earlier rollout was killed, is taken up again from the
    first step. An interrupt leaves it the canary; nothing that was started is left behind in any case.

    Args:
        registry: gets start, promotion or abort with their figures.
        version: approved, or the canary.
        by: a deployer.
        rules: of the rollout.
        how: of this machine.
        say: takes a line of progress.

    Raises:
        RolledBack: the rules said no; the champion has all of the traffic.
        RolloutError: the champion's server or its index could not be started or ended on the way
            (`ChampionLost`), and nothing was decided; or the canary's could not be, and it went back.
        RegistryError: the version may not be deployed.
    """
    need_deployable(version)
    index_options(version)  # before anything is decided: to lack it is no fault of the version
    champion = registry.champion(version.name)
    with ExitStack() as stack:
        now = stack.enter_context(_serving(champion, how, rules, say)) if champion else None
        split = Split((champion.version, now.address) if champion and now else None, None)
        split.salt = version.digests["manifest"]
        address = stack.enter_context(proxying(split, how.host, how.port))
        say(f"clients: {address}/v2/models/{MODEL}/infer")
        canary = begin(registry, version, by=by, say=say)
        try:
            outcome = _tried(canary, now, split, address, rules, how, say, stack)
        except ChampionLost:
            raise
        except Exception as error:  # a bug of ours is no reason to leave it in the traffic
            split.canary = None
            why = error.problem if isinstance(error, TraceError) else f"{type(error).__name__}: {error}"
            abort(registry, canary, by=by, why=why, figures={}, say=say)
            raise
        if not outcome.passed:
            split.canary = None
            abort(registry, canary, by=by, why=outcome.reason, figures=outcome.figures, say=say)
            raise RolledBack(f"{canary.label} went back at {outcome.percent} %: {outcome.reason}")
        finish(registry, canary, by=by, why=outcome.reason, figures=outcome.figures, say=say)
        split.percent = 100
        if how.on_promoted:
            how.on_promoted(address)
        return outcome


def _tried(
    canary: Version,
    champion: Serving | None,
    split: Split,
    address: str,
    rules: RolloutRules,
    how: Local,
    say: Say,
    stack: ExitStack,
) -> Outcome:
    """Start the canary, check it, and run the steps."""
    serving = stack.enter_context(_serving(canary, how, rules, say))
    split.canary = (canary.version, serving.address)
    queries, smoke = how.queries, {}
    if how.smoke:
        if queries is None:
            queries = with_expected(directory_of(canary), sample_queries(directory_of(canary)))
        smoke = check_smoke(serving.address, MODEL, queries, rules.smoke)
        say(f"{canary.label}: answers as its model does: {smoke['load']}")
    with _traffic(address, queries or [Reference(text) for text in PLAIN], how):
        outcome = run_steps(_Sides(serving, champion, split), rules, say, how.clock)
    figures = {"smoke": smoke, "steps": outcome.figures, "retried": split.retried}
    return Outcome(outcome.passed, outcome.reason, outcome.percent, figures)


@contextmanager
def _serving(version: Version, how: Local, rules: RolloutRules, say: Say) -> Iterator[Serving]:
    """A version served and ready; ended, in order, at the end."""
    port = free_port()
    log = how.logs / f"{version.name}-{version.version}.log"
    serving = Serving(version.version, how.command(version, port), port, log)
    try:
        serving.wait_ready(rules.ready_seconds)
        say(f"{version.label}: ready, log {log}")
        yield serving
    finally:
        serving.stop()


@contextmanager
def _traffic(address: str, queries: Sequence[Reference], how: Local) -> Iterator[None]:
    """Requests of our own through the split, where they were asked for."""
    if not how.traffic:
        yield
        return
    stop, asked = threading.Event(), [Reference(query.text, query.image) for query in queries]
    work = (address, MODEL, asked, Shape(how.traffic), stop)
    thread = threading.Thread(target=run_load, args=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
