"""Steps as components: what survives the way to another pod, and inputs that are not there."""

import json
import shutil
from pathlib import Path

import pytest
from tests.cards.chain import register_chain, write_chain
from tests.kubeflow.artifacts import Held, carried, here, outputs
from tests.mbeir.checkout_files import PAIRS, write_checkout

from trace_retriever.config import check_section
from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_tree, read_json, write_json
from trace_retriever.kubeflow.component import run_component
from trace_retriever.kubeflow.ledger import LEDGER, RUN, Ledger
from trace_retriever.kubeflow.remote import REMOTE, is_absent, pull_component
from trace_retriever.runner import run_step

STORE = "s3://team/run"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    monkeypatch.setenv(RUN, "run-1")
    return Ledger(str(tmp_path / "ledger"), "run-1")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return write_checkout(tmp_path / "checkout")


def prepare(checkout: Path, into: Path, kept: str = "") -> Held:
    config = {"source": "mbeir", "mbeir": {"path": str(checkout), "pairs": [pair.name for pair in PAIRS]}}
    made = outputs(into, kept)
    run_component("prepare", config, {}, made)
    return made["out"]


def links(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_symlink()]


def test_a_linked_checkout_survives_the_way_through_an_object_store(checkout: Path, tmp_path: Path) -> None:
    made = prepare(checkout, tmp_path / "first", STORE)
    assert links(Path(made.path)) == []
    assert made.metadata["digest"] == digest_tree(Path(made.path))
    there = carried(made, tmp_path / "there")
    shutil.rmtree(checkout)
    assert digest_tree(Path(there.path)) == made.metadata["digest"]
    routed = outputs(tmp_path / "routed", STORE)
    run_component("route", {"strategy": "dataset", "compare": ["dataset"]}, {"dataset": there}, routed)
    assert list(Path(routed["out"].path).iterdir())


def test_on_one_machine_it_is_linked_and_not_copied(checkout: Path, tmp_path: Path) -> None:
    made = prepare(checkout, tmp_path / "first")
    assert links(Path(made.path))


def test_a_checkout_with_a_broken_link_fails_whole(checkout: Path, tmp_path: Path) -> None:
    (checkout / "mbeir_images/gone").symlink_to(tmp_path / "nothing")
    with pytest.raises(DataError):
        prepare(checkout, tmp_path / "first", STORE)
    assert not (tmp_path / "first/out").exists()


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    return write_chain(tmp_path / "chain")


def judge(chain: Path, into: Path, champion: Held | None) -> Path:
    made = outputs(into)
    inputs = {"evaluation": here(chain / "evaluation"), "validation": here(chain / "validation")}
    run_component("gate", {}, {**inputs, "champion": champion}, made)
    return Path(made["out"].path)


def absent(into: Path) -> Held:
    nothing = Held(str(into), f"{STORE}/none")
    pull_component("", nothing, optional=True)
    return carried(nothing, into.with_name("carried"))


@pytest.mark.usefixtures("ledger")
def test_a_champion_that_was_not_named_is_no_champion(chain: Path, tmp_path: Path) -> None:
    nothing = absent(tmp_path / "nothing")
    assert is_absent(Path(nothing.path))
    verdict = judge(chain, tmp_path / "judged", nothing)
    assert read_json(verdict / "verdict.json")["champion"] is None
    assert digest_tree(verdict) == digest_tree(judge(chain, tmp_path / "without", None))


def test_a_champion_that_was_named_is_compared(chain: Path, tmp_path: Path) -> None:
    champion = here(register_chain(chain))
    verdict = judge(chain, tmp_path / "judged", champion)
    assert read_json(verdict / "verdict.json")["champion"] is not None
    alone = {name: chain / name for name in ("evaluation", "validation")}
    run_step(
        "gate",
        check_section("gate", {}, where="test"),
        inputs={**alone, "champion": chain / "registered"},
        out=tmp_path / "alone",
        report=tmp_path / "alone report",
        work_root=tmp_path / "work",
    )
    assert digest_tree(verdict) == digest_tree(tmp_path / "alone")


def test_an_empty_digest_is_an_error_where_something_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REMOTE, str(tmp_path / "remote"))
    with pytest.raises(DataError, match="'' is not the md5"):
        pull_component("", Held(str(tmp_path / "out"), STORE))


def test_a_champion_whose_one_file_is_another_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    assert not is_absent(tmp_path / "some")
    assert not is_absent(tmp_path / "missing")
    write_json(tmp_path / "some/verdict.json", {})
    assert not is_absent(tmp_path / "some")


@pytest.mark.parametrize(
    ("content", "name"),
    [({"kind": "encoder"}, "embed encoder 1/2"), ({}, "embed 1/2"), (None, "embed 1/2")],
)
def test_a_part_of_the_vectors_says_whose_it_is(
    ledger: Ledger, tmp_path: Path, content: dict[str, str] | None, name: str
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    if content is not None:
        (model / "trace.json").write_text(json.dumps(content))
    inputs = {"dataset": here(tmp_path / "none"), "model": here(model)}
    with pytest.raises(DataError):
        run_component("embed", {}, inputs, outputs(tmp_path / "made"), part="1/2")
    [entry] = ledger.read()
    assert (entry.name, entry.state) == (name, "failed")
