"""The rollout on this machine, with real processes and a real registry: what is promoted, what goes back."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.registry.made import ANN, DEA, NAME, World
from tests.rollout.conftest import QUICK, Stands

from trace_retriever.config.rollout import RolloutRules
from trace_retriever.io.files import digest_file, digest_tree
from trace_retriever.registry.errors import NotAllowed
from trace_retriever.registry.types import Act, State
from trace_retriever.rollout.command import serve_command
from trace_retriever.rollout.errors import ChampionLost, RolledBack, RolloutError
from trace_retriever.rollout.local import Local, deploy_local
from trace_retriever.rollout.references import Reference
from trace_retriever.rollout.steps import Outcome

pytestmark = pytest.mark.timeout(180)
QUERY = Reference("four")


def deploy(
    world: World,
    stands: Stands,
    tmp_path: Path,
    rules: RolloutRules = QUICK,
    by: str = DEA,
    smoke: bool = False,
) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    how = Local(logs=tmp_path / "logs", traffic=150.0, smoke=smoke, command=stands.command, queries=[QUERY])
    version = world.registry.version(NAME, "2.0.0")
    return deploy_local(
        world.registry, version, by=world.who(by), rules=rules, how=how, say=said.append
    ), said


def state(world: World, version: str) -> State:
    return world.registry.version(NAME, version).state


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(path)]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_good_version_goes_step_by_step_into_production(
    world: World, stands: Stands, tmp_path: Path
) -> None:
    outcome, said = deploy(world, stands, tmp_path, QUICK.model_copy(update={"steps": (20, 50)}))
    assert outcome.passed
    champion = world.registry.champion(NAME)
    assert champion is not None
    assert (champion.version, champion.replaced) == ("2.0.0", "1.0.0")
    assert state(world, "1.0.0") is State.RETIRED
    last = world.registry.log()[-1]
    assert last.act is Act.PROMOTE
    assert set(last.details["figures"]["steps"]) == {"20", "50"}
    assert last.details["figures"]["steps"]["50"]["errors"]["canary"][1] >= QUICK.min_requests
    assert [line for line in said if line.endswith("begins")] == ["step 20 %: begins", "step 50 %: begins"]
    world.registry.verify_log()


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (["--errors", "0.7"], "errors: "),
        (["--refuse", "0.7"], "refused: "),
        (["--delay", "0.4"], "slow simple"),
        (["--break-after", "3"], "errors: "),
        (["--die-after", "8"], "the canary is gone: its process ended with 9"),
        (["--no-metrics"], "no metrics of the canary in 20 looks"),
    ],
    ids=["errors", "refusals", "slow", "broken answers", "crash", "no metrics"],
)
def test_a_bad_version_goes_back_and_the_champion_stays(
    world: World, stands: Stands, tmp_path: Path, faults: list[str], why: str
) -> None:
    stands.faults["2.0.0"] = faults
    with pytest.raises(RolledBack, match=why) as stopped:
        deploy(world, stands, tmp_path)
    assert stopped.value.exit_code == 3
    champion = world.registry.champion(NAME)
    assert champion is not None
    assert champion.version == "1.0.0"
    assert state(world, "2.0.0") is State.RETIRED
    last = world.registry.log()[-1]
    assert last.act is Act.ABORT
    assert why in last.details["why"]


def test_a_version_that_does_not_start_goes_back_with_the_end_of_its_log(
    world: World, stands: Stands, tmp_path: Path
) -> None:
    stands.faults["2.0.0"] = ["--no-such-option"]
    with pytest.raises(RolloutError, match="does not start: its process ended with 2") as stopped:
        deploy(world, stands, tmp_path)
    assert "--no-such-option" in str(stopped.value)
    assert state(world, "2.0.0") is State.RETIRED


def test_a_version_that_is_never_ready_goes_back(world: World, stands: Stands, tmp_path: Path) -> None:
    stands.faults["2.0.0"] = ["--never-ready"]
    with pytest.raises(RolloutError, match="not ready after 2 s"):
        deploy(world, stands, tmp_path, QUICK.model_copy(update={"ready_seconds": 2.0}))
    assert state(world, "2.0.0") is State.RETIRED


def test_without_the_champion_nothing_is_decided(world: World, stands: Stands, tmp_path: Path) -> None:
    stands.faults["1.0.0"] = ["--no-such-option"]
    with pytest.raises(RolloutError, match=r"1\.0\.0 does not start"):
        deploy(world, stands, tmp_path)
    assert state(world, "2.0.0") is State.APPROVED


def test_a_champion_that_ends_on_the_way_is_no_fault_of_the_canary(
    world: World, stands: Stands, tmp_path: Path
) -> None:
    stands.faults["1.0.0"] = ["--die-after", "8"]
    with pytest.raises(ChampionLost, match=r"the champion is gone: its process ended with 9") as stopped:
        deploy(world, stands, tmp_path)
    assert stopped.value.exit_code == 1
    assert state(world, "2.0.0") is State.CANARY
    assert world.registry.log()[-1].act is Act.CANARY
    stands.faults.clear()
    deploy(world, stands, tmp_path)
    assert state(world, "2.0.0") is State.PRODUCTION


def test_an_index_that_is_not_what_was_registered_is_not_served(
    world: World, stands: Stands, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    (index / "candidates").mkdir(parents=True)
    (index / "candidates/manifest.json").write_text("{}")
    version = world.registry.version(NAME, "2.0.0")
    digests = version.digests | {"index": digest_tree(index)}
    with_index = replace(version, index=str(index), digests=digests)
    options = serve_command(with_index, 8123)
    assert options[options.index("--embeddings") + 1] == str(index)
    assert options[options.index("--index-digest") + 1] == digest_file(index / "candidates/manifest.json")

    how = Local(logs=tmp_path / "logs", smoke=False, command=stands.command)
    refused: dict[str, Any] = {"by": world.who(DEA), "rules": QUICK, "how": how, "say": print}
    (index / "candidates/manifest.json").write_text("{ }")
    with pytest.raises(RolloutError, match="is not the one that was registered"):
        deploy_local(world.registry, with_index, **refused)
    shutil.rmtree(index)
    with pytest.raises(RolloutError, match="is not on this machine"):
        deploy_local(world.registry, with_index, **refused)
    assert state(world, "2.0.0") is State.APPROVED


def test_who_may_not_deploy_does_not(world: World, stands: Stands, tmp_path: Path) -> None:
    with pytest.raises(NotAllowed):
        deploy(world, stands, tmp_path, by=ANN)
    assert state(world, "2.0.0") is State.APPROVED


def test_what_nobody_approved_is_not_started(world: World, stands: Stands, tmp_path: Path) -> None:
    world.candidate("3.0.0")
    version = world.registry.version(NAME, "3.0.0")
    how = Local(logs=tmp_path / "logs", smoke=False, command=stands.command)
    with pytest.raises(RolloutError, match="is candidate, not approved"):
        deploy_local(world.registry, version, by=world.who(DEA), rules=QUICK, how=how, say=print)
    assert not (tmp_path / "logs").exists()


def test_the_first_version_of_all_is_held_against_its_own_figures(
    open_world: "object", stands: Stands, tmp_path: Path
) -> None:
    assert callable(open_world)
    world: World = open_world()
    world.approved("2.0.0")
    outcome, _ = deploy(world, stands, tmp_path)
    assert outcome.percent == 100
    assert state(world, "2.0.0") is State.PRODUCTION


def test_a_rollout_that_was_killed_is_taken_up_again(world: World, stands: Stands, tmp_path: Path) -> None:
    world.registry.start_canary(NAME, "2.0.0", by=world.who(DEA), why="killed after this")
    _, said = deploy(world, stands, tmp_path)
    assert any("taken up again" in line for line in said)
    assert state(world, "2.0.0") is State.PRODUCTION


def test_wrong_answers_are_found_before_there_is_traffic(
    world: World, stands: Stands, tmp_path: Path
) -> None:
    import numpy as np

    expected = Reference("four", expected=np.array([4.0, 7.0], np.float32))
    how = Local(logs=tmp_path / "logs", command=stands.command, queries=[expected])
    version = world.registry.version(NAME, "2.0.0")
    with pytest.raises(RolledBack, match=r"reference queries: 1 wrong.*differs by 5"):
        deploy_local(world.registry, version, by=world.who(DEA), rules=QUICK, how=how, say=print)
    assert state(world, "2.0.0") is State.RETIRED


def test_the_new_champion_serves_until_it_is_told_to_stop(
    world: World, stands: Stands, tmp_path: Path
) -> None:
    answers = []

    def ask(address: str) -> None:
        found = httpx.post(f"{address}/v2/models/trace-retriever/infer", json=QUERY.body())
        answers.append((found.status_code, found.headers["x-trace-served-by"], found.json()["version"]))

    how = Local(
        logs=tmp_path / "logs",
        traffic=150.0,
        smoke=False,
        command=stands.command,
        queries=[QUERY],
        on_promoted=ask,
    )
    version = world.registry.version(NAME, "2.0.0")
    deploy_local(world.registry, version, by=world.who(DEA), rules=QUICK, how=how, say=print)
    assert answers == [(200, "2.0.0", "2")]


def test_what_is_started_is_trace_serve_of_the_approved_digest(world: World) -> None:
    from trace_retriever.serving.commands import serve_command as command

    version = world.registry.version(NAME, "2.0.0")
    program, verb, *options = serve_command(version, 8123, ["--set", "slots=4"])
    assert Path(program).is_file()
    assert verb == "serve"
    given = command.make_context("serve", options).params
    assert (given["http_port"], given["manifest"]) == (8123, version.digests["manifest"])
    assert given["model"] == version.directory
    assert given["overrides"] == ("slots=4",)
