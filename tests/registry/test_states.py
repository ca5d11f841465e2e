"""Any sequence of acts beside a small model of the states: what it allows happens, the rest is refused."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.registry.made import ANN, BEN, CIM, DEA, NAME, Clock, Packages, rules

from trace_retriever.registry.errors import Conflict
from trace_retriever.registry.registry import open_registry
from trace_retriever.registry.types import RequestState, State

VERSIONS = ("1.0.0", "2.0.0", "3.0.0")
PACKAGES: list[Packages] = []
ONE = st.sampled_from(VERSIONS)
HOURS = {"expires_hours": 10.0, "approval_hours": 20.0}


class Acts(RuleBasedStateMachine):
    """The registry beside a model of it: version → state, open request, time left."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.registry = open_registry(f"sqlite:///{self.folder.name}/r.db", rules(**HOURS), self.clock)
        self.states: dict[str, State] = {}
        self.replaced: dict[str, str | None] = {}
        self.left: dict[str, float] = {}
        self.entries = 0

    @initialize()
    def register(self) -> None:
        for version in VERSIONS:
            package = PACKAGES[0].root / version
            self.registry.register(package, by=self.registry.actor(ANN))
            self.states[version] = State.CANDIDATE
            self.entries += 1

    def attempt(self, allowed: bool, act: Any, *words: Any, **options: Any) -> bool:
        if allowed:
            act(*words, **options)
            self.entries += 1
            return True
        with pytest.raises(Conflict):
            act(*words, **options)
        return False

    def holder(self, state: State) -> str | None:
        return next((version for version, now in self.states.items() if now == state), None)

    def request_id(self, version: str) -> int:
        return max((one.id for one in self.registry.requests() if one.version == version), default=0)

    @rule(version=ONE)
    def request(self, version: str) -> None:
        found = self.registry.version(NAME, version)
        allowed = self.states[version] == State.CANDIDATE
        if self.attempt(allowed, self.registry.request, found, by=self.registry.actor(ANN), why="go"):
            self.states[version], self.left[version] = State.REQUESTED, HOURS["expires_hours"]

    @rule(version=ONE, approve=st.sampled_from([True, True, True, False]), by=st.sampled_from([BEN, CIM]))
    def decide(self, version: str, approve: bool, by: str) -> None:
        number = self.request_id(version)
        if not number:
            return
        act = self.registry.approve if approve else self.registry.reject
        evidence = self.registry.version(NAME, version).digests["evidence"]
        allowed = self.states[version] == State.REQUESTED
        who = self.registry.actor(by)
        if self.attempt(allowed, act, number, by=who, why="seen", evidence=evidence):
            self.states[version] = State.APPROVED if approve else State.REJECTED
            self.left[version] = HOURS["approval_hours"]

    @rule(version=ONE)
    def withdraw(self, version: str) -> None:
        if number := self.request_id(version):
            allowed = self.states[version] == State.REQUESTED
            who = self.registry.actor(ANN)
            if self.attempt(allowed, self.registry.withdraw, number, by=who, why="not yet"):
                self.states[version] = State.CANDIDATE

    @rule(version=ONE)
    def canary(self, version: str) -> None:
        allowed = self.states[version] == State.APPROVED and self.holder(State.CANARY) is None
        who = self.registry.actor(DEA)
        if self.attempt(allowed, self.registry.start_canary, NAME, version, by=who, why="try"):
            self.states[version] = State.CANARY

    @rule(version=ONE, good=st.sampled_from([True, True, False]))
    def finish(self, version: str, good: bool) -> None:
        allowed, champion = self.states[version] == State.CANARY, self.holder(State.PRODUCTION)
        act = self.registry.promote if good else self.registry.abort_canary
        if self.attempt(allowed, act, NAME, version, by=self.registry.actor(DEA), why="seen"):
            self.states[version] = State.PRODUCTION if good else State.RETIRED
            if good and champion:
                self.states[champion] = State.RETIRED
            if good:
                self.replaced[version] = champion

    @rule()
    def rollback(self) -> None:
        champion = self.holder(State.PRODUCTION)
        earlier = self.replaced[champion] if champion else None
        who = self.registry.actor(DEA)
        if self.attempt(bool(earlier), self.registry.rollback, NAME, by=who, why="slow"):
            assert champion
            assert earlier
            self.states[champion], self.states[earlier] = State.RETIRED, State.PRODUCTION

    @rule(hours=st.sampled_from([4.0, 11.0]))
    def wait(self, hours: float) -> None:
        self.clock.move(hours=hours)
        for version, state in self.states.items():
            if state in (State.REQUESTED, State.APPROVED):
                self.left[version] -= hours
                if self.left[version] <= 0:
                    self.states[version] = State.CANDIDATE
                    self.entries += 1

    @invariant()
    def agrees(self) -> None:
        if self.states:
            found = self.registry.versions(NAME)
            assert {one.version: one.state for one in found} == self.states
            open_ones = [one.version for one in self.registry.requests(RequestState.OPEN)]
            waiting = [version for version, state in self.states.items() if state == State.REQUESTED]
            assert sorted(open_ones) == sorted(waiting)

    def teardown(self) -> None:
        assert self.registry.verify_log() == self.entries
        self.registry.close()
        self.folder.cleanup()


def test_any_sequence_of_acts(packages: Packages) -> None:
    PACKAGES[:] = [packages]
    for version in VERSIONS:
        assert isinstance(packages.make(version), Path)
    patient = settings(
        max_examples=8,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Acts, settings=patient)
