"""Registered models to fill a registry with: made once by the real steps, then renamed."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.cards.chain import register_chain, write_chain

from trace_retriever.cards.manifest import file_digests
from trace_retriever.config.promotion import RegistryRules, Role
from trace_retriever.io.files import read_json, write_json
from trace_retriever.registry.registry import Registry
from trace_retriever.registry.types import Actor, Version

ANN, BEN, CIM, DEA, EVE, SYS = "ann", "ben", "cim", "dea", "eve", "sys"
ROLES = {
    ANN: (Role.REQUESTER,),
    BEN: (Role.REVIEWER, Role.REQUESTER),
    CIM: (Role.REVIEWER,),
    DEA: (Role.DEPLOYER,),
    SYS: (Role.ADMIN,),
}
NAME = "trace"


def rules(**values: Any) -> RegistryRules:
    """Rules with the people above."""
    return RegistryRules(**{"roles": ROLES, **values})


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **much: float) -> None:
        """Move on."""
        self.now += timedelta(**much)


class Packages:
    """Registered-model directories, one a version."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = register_chain(write_chain(root / "chain"))

    def make(self, version: str, change: Callable[[Path], object] = lambda _: None) -> Path:
        """The directory of a version; `change` may alter its files before the manifest is written anew."""
        path = self.root / version
        shutil.copytree(self.base, path, dirs_exist_ok=True)
        write_json(path / "trace.json", read_json(path / "trace.json") | {"made": version})
        change(path)
        manifest = read_json(path / "manifest.json")
        write_json(path / "manifest.json", manifest | {"version": version, "files": file_digests(path)})
        return path


class World:
    """A registry, its clock, and packages to register."""

    def __init__(self, registry: Registry, clock: Clock, packages: Packages) -> None:
        self.registry, self.clock, self.packages = registry, clock, packages

    def who(self, name: str) -> Actor:
        """A person."""
        return self.registry.actor(name)

    def candidate(self, version: str) -> Version:
        """Register a version."""
        return self.registry.register(self.packages.make(version), by=self.who(ANN))

    def requested(self, version: str) -> int:
        """Register and request one; returns the request's id."""
        found = self.candidate(version)
        return self.registry.request(found, by=self.who(ANN), why="better on hops").id

    def approve(self, request: int, by: str = BEN) -> None:
        """Approve what the reviewer would see."""
        asked = self.registry.request_of(request)
        evidence = self.registry.version(asked.name, asked.version).digests["evidence"]
        self.registry.approve(request, by=self.who(by), why="looked at it", evidence=evidence)

    def approved(self, version: str) -> None:
        """Register, request and approve one."""
        self.approve(self.requested(version))

    def canary(self, version: str) -> None:
        """Bring one up to canary."""
        self.approved(version)
        self.registry.start_canary(NAME, version, by=self.who(DEA), why="first steps")

    def production(self, version: str) -> None:
        """Bring one into production."""
        self.canary(version)
        self.registry.promote(NAME, version, by=self.who(DEA), why="as good as told")
