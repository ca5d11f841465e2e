"""The acts one after another, on both databases: who may, what moves, what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.registry.made import ANN, BEN, CIM, DEA, EVE, NAME, SYS, World

from trace_retriever.io.files import digest_file, digest_tree, read_json, write_json
from trace_retriever.registry.errors import Conflict, NotAllowed, NotFound, RegistryError
from trace_retriever.registry.types import CLOCK, Act, Actor, RequestState, Role, State

Opened = Callable[..., World]


def state(world: World, version: str) -> State:
    return world.registry.version(NAME, version).state


def test_a_version_goes_from_registration_to_production_and_back(world: World) -> None:
    registry = world.registry
    world.production("1.0.0")
    assert registry.champion(NAME) == registry.version(NAME, "1.0.0")
    world.canary("1.1.0")
    assert registry.canary(NAME) == registry.version(NAME, "1.1.0")
    registry.promote(NAME, "1.1.0", by=world.who(DEA), why="as good", figures={"requests": 500})
    assert (state(world, "1.0.0"), state(world, "1.1.0")) == (State.RETIRED, State.PRODUCTION)
    assert registry.version(NAME, "1.1.0").replaced == "1.0.0"
    back = registry.rollback(NAME, by=world.who(DEA), why="slow at noon")
    assert (back.version, back.state) == ("1.0.0", State.PRODUCTION)
    assert state(world, "1.1.0") == State.RETIRED
    acts = [entry.act for entry in registry.log()]
    path = [Act.REGISTER, Act.REQUEST, Act.APPROVE, Act.CANARY, Act.PROMOTE]
    assert acts == [*path, *path, Act.ROLLBACK]
    assert registry.log(after=9, limit=1)[0].details["figures"] == {"requests": 500}
    assert [entry.act for entry in registry.history(NAME, "1.0.0")] == [*path, Act.PROMOTE, Act.ROLLBACK]
    assert registry.verify_log() == 11
    with pytest.raises(Conflict, match=r"nothing was in production before trace 1.0.0"):
        registry.rollback(NAME, by=world.who(DEA), why="further back")


def test_a_version_points_at_digests_and_at_bytes_of_its_own(world: World) -> None:
    package = world.packages.make("2.0.0")
    version = world.registry.register(package, by=world.who(ANN), commit="abc-dirty", run="run-7")
    manifest = read_json(package / "manifest.json")
    assert version.digests["manifest"] == digest_file(package / "manifest.json")
    assert version.digests["model"] == digest_tree(world.packages.root / "chain/model")
    assert version.digests["verdict"] == digest_file(package / "evidence/verdict.json")
    assert version.digests["evaluation"] == manifest["evaluation"]
    assert version.digests["code"] == manifest["code"]["digest"]
    assert {"data", "params", "evidence"} < set(version.digests)
    assert version.gates["floor"] is True
    assert (version.commit, version.run, version.registered_by) == ("abc-dirty", "run-7", ANN)
    assert version.directory is not None
    assert version.directory.is_relative_to(world.registry.store)
    assert digest_tree(version.directory) == digest_tree(package)


def test_what_overwrites_the_registered_directory_does_not_reach_the_kept_one(world: World) -> None:
    world.approved("2.1.0")
    (world.packages.root / "2.1.0/model.safetensors").write_bytes(b"another")
    world.registry.start_canary(NAME, "2.1.0", by=world.who(DEA), why="go")
    assert state(world, "2.1.0") == State.CANARY


def test_the_same_package_again_is_the_same_version(world: World) -> None:
    first = world.candidate("2.2.0")
    assert world.registry.register(world.packages.make("2.2.0"), by=world.who(BEN)) == first
    assert len(world.registry.log()) == 1
    other = world.packages.make("2.2.0", lambda path: write_json(path / "config.json", {"model_type": "x"}))
    with pytest.raises(Conflict, match="other bytes"):
        world.registry.register(other, by=world.who(ANN))


def test_an_altered_package_is_not_registered(world: World) -> None:
    package = world.packages.make("2.3.0")
    (package / "model.safetensors").write_bytes(b"another")
    with pytest.raises(Exception, match=r"model.safetensors was altered"):
        world.registry.register(package, by=world.who(ANN))
    assert world.registry.versions() == []


def _unnamed(path: Path) -> None:
    write_json(path / "manifest.json", read_json(path / "manifest.json") | {"name": "../models"})


def _escaping(path: Path) -> None:
    verdict = read_json(path / "evidence/verdict.json")
    verdict["checks"][0]["name"] = "floor\x1b[2J"
    write_json(path / "evidence/verdict.json", verdict)


def _no_digest(path: Path) -> None:
    write_json(path / "manifest.json", read_json(path / "manifest.json") | {"code": {"digest": "trust me"}})


def _no_code(path: Path) -> None:
    write_json(path / "manifest.json", read_json(path / "manifest.json") | {"code": []})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_unnamed, "a version is named like"),
        (_escaping, "a check named"),
        (_no_digest, "code named by no SHA-256"),
        (_no_code, "not those of a registered model"),
    ],
)
def test_a_package_made_by_hand_is_refused(
    world: World, change: Callable[[Path], None], message: str
) -> None:
    package = world.packages.make("2.6.0", change)
    with pytest.raises(RegistryError, match=message):
        world.registry.register(package, by=world.who(ANN))
    assert not list(world.registry.store.glob("*"))


def test_an_index_of_another_model_is_refused_and_the_right_one_is_noted(
    world: World, tmp_path: Path
) -> None:
    package, index = world.packages.make("2.4.0"), tmp_path / "index"
    index.mkdir()
    write_json(index / "embed.json", {"model": "sha256:other"})
    with pytest.raises(RegistryError, match="index was made by model sha256:other"):
        world.registry.register(package, by=world.who(ANN), index=index)
    write_json(index / "embed.json", {"model": digest_tree(world.packages.root / "chain/model")})
    version = world.registry.register(package, by=world.who(ANN), index=index)
    assert version.digests["index"] == digest_tree(index)
    assert version.index == str(index)


def test_a_package_elsewhere_is_named_by_its_address(world: World) -> None:
    package = world.packages.make("2.5.0")
    for address in ("file:///etc", "http://host/x", "s3://", "/etc/passwd", "s3://a/b\nc"):
        with pytest.raises(RegistryError, match="not an address"):
            world.registry.register(package, by=world.who(ANN), uri=address)
    version = world.registry.register(package, by=world.who(ANN), uri="s3://models/trace/2.5.0")
    assert (version.package, version.directory) == ("s3://models/trace/2.5.0", None)


def test_each_act_wants_its_role(world: World) -> None:
    registry, nobody = world.registry, Actor(EVE, frozenset(Role))  # what it says of itself does not count
    with pytest.raises(NotAllowed, match="eve may not register a version: not a requester"):
        registry.register(world.packages.make("3.0.0"), by=nobody)
    version = world.candidate("3.0.0")
    with pytest.raises(NotAllowed, match="not a requester"):
        registry.request(version, by=nobody, why="please")
    number = registry.request(version, by=world.who(ANN), why="please").id
    with pytest.raises(NotAllowed, match="not a reviewer"):
        registry.approve(number, by=nobody, why="ok", evidence=version.digests["evidence"])
    with pytest.raises(NotAllowed, match="did not make request"):
        registry.withdraw(number, by=nobody, why="ok")
    world.approve(number)
    for act in (registry.start_canary, registry.promote, registry.abort_canary):
        with pytest.raises(NotAllowed, match="not a deployer"):
            act(NAME, "3.0.0", by=nobody, why="ok")
    with pytest.raises(NotAllowed, match="not a deployer"):
        registry.rollback(NAME, by=nobody, why="ok")
    assert [entry.act for entry in registry.log()] == [Act.REGISTER, Act.REQUEST, Act.APPROVE]


def test_four_eyes(opened: Opened) -> None:
    world = opened()
    version = world.candidate("3.1.0")
    seen = version.digests["evidence"]
    number = world.registry.request(version, by=world.who(BEN), why="mine").id
    with pytest.raises(NotAllowed, match="ben made request 1"):
        world.registry.approve(number, by=world.who(BEN), why="mine", evidence=seen)
    with pytest.raises(NotAllowed, match="ben made request 1"):
        world.registry.reject(number, by=world.who(BEN), why="mine", evidence=seen)
    alone = opened(four_eyes=False)
    assert alone.registry.approve(number, by=world.who(BEN), why="mine", evidence=seen).state == "approved"


def test_an_admin_is_held_to_four_eyes_too(world: World) -> None:
    version = world.registry.register(world.packages.make("3.2.0"), by=world.who(SYS))
    number = world.registry.request(version, by=world.who(SYS), why="mine").id
    with pytest.raises(NotAllowed, match="sys made request"):
        world.approve(number, SYS)


def test_who_registered_may_be_kept_from_approving(opened: Opened) -> None:
    world = opened(registrant_may_approve=False)
    version = world.registry.register(world.packages.make("3.3.0"), by=world.who(BEN))
    number = world.registry.request(version, by=world.who(ANN), why="please").id
    with pytest.raises(NotAllowed, match="ben registered"):
        world.approve(number)
    world.approve(number, CIM)


def test_two_approvers_are_two_people(opened: Opened) -> None:
    world = opened(approvers=2)
    number = world.requested("3.4.0")
    world.approve(number)
    assert world.registry.request_of(number).state == RequestState.OPEN
    assert state(world, "3.4.0") == State.REQUESTED
    with pytest.raises(NotAllowed, match="ben has decided"):
        world.approve(number)
    world.approve(number, CIM)
    assert state(world, "3.4.0") == State.APPROVED
    assert [decision.by for decision in world.registry.request_of(number).decisions] == [BEN, CIM]


def test_one_no_outweighs_an_approval(opened: Opened) -> None:
    world = opened(approvers=2)
    number = world.requested("3.5.0")
    world.approve(number)
    seen = world.registry.version(NAME, "3.5.0").digests["evidence"]
    world.registry.reject(number, by=world.who(CIM), why="traces leak the answer", evidence=seen)
    assert state(world, "3.5.0") == State.REJECTED
    with pytest.raises(Conflict, match="rejected; only what is candidate can be requested"):
        world.registry.request(world.registry.version(NAME, "3.5.0"), by=world.who(ANN), why="again")


def test_a_decided_request_is_decided(world: World) -> None:
    number = world.requested("3.6.0")
    world.approve(number)
    with pytest.raises(Conflict, match="request 1 is approved"):
        world.approve(number, CIM)
    with pytest.raises(Conflict, match="only an open one can be withdrawn"):
        world.registry.withdraw(number, by=world.who(ANN), why="changed my mind")


def test_a_withdrawn_version_can_be_requested_again(world: World) -> None:
    number = world.requested("3.7.0")
    assert world.registry.withdraw(number, by=world.who(ANN), why="not yet").state == "withdrawn"
    version = world.registry.version(NAME, "3.7.0")
    assert version.state == State.CANDIDATE
    assert world.registry.request(version, by=world.who(ANN), why="now").id == number + 1
    assert world.registry.withdraw(number + 1, by=world.who(SYS), why="by hand").state == "withdrawn"


def test_an_approval_names_the_evidence_that_was_seen(world: World) -> None:
    number = world.requested("3.8.0")
    with pytest.raises(Conflict, match=r"evidence that was seen is not that of trace 3.8.0"):
        world.registry.approve(number, by=world.who(BEN), why="ok", evidence="sha256:" + "1" * 64)


def test_evidence_that_changed_on_disk_is_not_approved(world: World) -> None:
    number = world.requested("3.9.0")
    directory = world.registry.version(NAME, "3.9.0").directory
    assert directory is not None
    file = directory / "evidence/results.json"
    file.chmod(0o644)
    file.write_text("{}")
    with pytest.raises(Conflict, match="evidence is not what was registered"):
        world.approve(number)


@pytest.mark.parametrize("act", ["start_canary", "promote"])
def test_bytes_that_changed_after_the_approval_are_not_deployed(world: World, act: str) -> None:
    (world.canary if act == "promote" else world.approved)("4.0.0")
    directory = world.registry.version(NAME, "4.0.0").directory
    assert directory is not None
    file = directory / "model.safetensors"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(Conflict, match=r"model.safetensors was altered"):
        getattr(world.registry, act)(NAME, "4.0.0", by=world.who(DEA), why="go")


def test_an_approval_of_one_digest_does_not_cover_another(world: World) -> None:
    world.approved("4.1.0")
    world.candidate("4.1.1")
    with pytest.raises(Conflict, match=r"4.1.1 is candidate; only what is approved"):
        world.registry.start_canary(NAME, "4.1.1", by=world.who(DEA), why="nearly the same")


def test_an_open_request_expires(world: World) -> None:
    number = world.requested("4.2.0")
    world.clock.move(hours=71)
    assert world.registry.request_of(number).state == RequestState.OPEN
    world.clock.move(hours=1)
    with pytest.raises(Conflict, match="request 1 is expired"):
        world.approve(number)
    assert state(world, "4.2.0") == State.CANDIDATE
    last = world.registry.log()[-1]
    assert (last.act, last.actor, last.details["request"]) == (Act.EXPIRE, CLOCK, number)
    assert world.registry.verify_log() == 3


def test_an_act_that_is_refused_leaves_the_expiry_of_others(world: World) -> None:
    world.requested("4.3.0")
    world.clock.move(hours=100)
    with pytest.raises(NotFound):
        world.registry.reject(77, by=world.who(BEN), why="no", evidence="")
    assert world.registry.log()[-1].act == Act.EXPIRE


def test_an_unused_approval_expires_and_a_used_one_does_not(world: World) -> None:
    world.approved("4.4.0")
    world.canary("4.4.1")
    world.clock.move(hours=169)
    with pytest.raises(Conflict, match=r"4.4.0 is candidate"):
        world.registry.start_canary(NAME, "4.4.0", by=world.who(DEA), why="late")
    assert world.registry.requests(RequestState.EXPIRED)[0].version == "4.4.0"
    world.registry.promote(NAME, "4.4.1", by=world.who(DEA), why="took its time")
    assert state(world, "4.4.1") == State.PRODUCTION


def test_one_canary_at_a_time(world: World) -> None:
    world.canary("4.5.0")
    world.approved("4.5.1")
    with pytest.raises(Conflict, match=r"trace 4.5.0 is the canary"):
        world.registry.start_canary(NAME, "4.5.1", by=world.who(DEA), why="me too")
    world.registry.abort_canary(NAME, "4.5.0", by=world.who(DEA), why="errors")
    world.registry.start_canary(NAME, "4.5.1", by=world.who(DEA), why="now")
    assert state(world, "4.5.0") == State.RETIRED


def test_the_gates_that_the_rules_name_must_hold(opened: Opened) -> None:
    version = opened().candidate("4.6.0")
    strict = opened(gates=("floor", "beats baseline", "sharpness"))
    with pytest.raises(NotAllowed, match="sharpness is missing"):
        strict.registry.request(version, by=strict.who(ANN), why="please")
    assert opened(gates=("floor",)).registry.request(version, by=strict.who(ANN), why="please").id == 1


def test_the_gate_must_have_compared_with_the_present_champion_if_the_rules_say_so(opened: Opened) -> None:
    world = opened(current_champion=True)
    world.production("4.7.0")  # the first has nobody to compare with
    other = world.candidate("4.7.1")
    with pytest.raises(NotAllowed, match=r"did not compare with trace 4.7.0, which is in production"):
        world.registry.request(other, by=world.who(ANN), why="please")
    digest = other.digests["evaluation"]

    def against_champion(path: Path) -> None:
        manifest = read_json(path / "manifest.json")
        write_json(path / "manifest.json", manifest | {"champion": digest})

    judged = world.registry.register(world.packages.make("4.7.2", against_champion), by=world.who(ANN))
    assert world.registry.request(judged, by=world.who(ANN), why="please").state == RequestState.OPEN


@pytest.mark.parametrize("why", ["", "  \n", "x" * 2001, "a\0b", "a\x1b[31m"])
def test_a_reason_is_words(world: World, why: str) -> None:
    version = world.candidate("4.8.0")
    with pytest.raises(RegistryError, match="reason"):
        world.registry.request(version, by=world.who(ANN), why=why)


@pytest.mark.parametrize("name", ["", "a b", "(clock)", "a\n", "x" * 200, "../etc"])
def test_a_person_is_named_like_one(world: World, name: str) -> None:
    with pytest.raises(RegistryError, match="not the name of a person"):
        world.registry.actor(name)


def test_figures_are_bounded_json(world: World) -> None:
    world.approved("4.9.0")
    for figures in ({"a": "x" * 30_000}, {"a": object()}, {"a": float("nan")}):
        with pytest.raises(RegistryError, match="figures"):
            world.registry.start_canary(NAME, "4.9.0", by=world.who(DEA), why="go", figures=figures)


def test_what_is_not_there_is_named(world: World) -> None:
    with pytest.raises(NotFound, match=r"no version trace 9.9.9"):
        world.registry.version(NAME, "9.9.9")
    with pytest.raises(NotFound, match="no request 12"):
        world.registry.request_of(12)
    with pytest.raises(Conflict, match="no version of trace is in production"):
        world.registry.rollback(NAME, by=world.who(DEA), why="go")
    assert (world.registry.champion(NAME), world.registry.canary(NAME), world.registry.log()) == (
        None,
        None,
        [],
    )
    assert world.registry.verify_log() == 0
