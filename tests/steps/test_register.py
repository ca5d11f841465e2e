from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cards.chain import BUDGET, PARTS, register_chain, write_chain, write_model
from tests.cards.curves import write_curves
from tests.gates.records import FILES, records, write_evaluation

from trace_retriever.cards.curves import read_curves
from trace_retriever.config import load_section
from trace_retriever.config.gate import FloorParams, GateConfig, ReasoningParams
from trace_retriever.config.register import RegisterConfig
from trace_retriever.errors import ConfigError, DataError, GateFailed
from trace_retriever.gates.evidence import read_evidence
from trace_retriever.io.files import digest_file, digest_tree, read_json, write_json
from trace_retriever.model.settings import Settings
from trace_retriever.runner import run_step


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    return write_chain(tmp_path)


def test_a_passed_model_is_packed_with_card_manifest_and_evidence(chain: Path) -> None:
    out = register_chain(chain)
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    evidence = [
        f"evidence/{name}" for name in ("queries.parquet", "results.json", "validation.json", "verdict.json")
    ]
    model = ["chat_template.jinja", "config.json", "model.safetensors", "trace.json"]
    assert names == sorted(["MODEL_CARD.md", "manifest.json", *evidence, *model])
    manifest = read_json(out / "manifest.json")
    assert manifest["data"] == FILES
    assert manifest["params"]["model"] == {"kind": "trace", "max_trace_tokens": 64}
    assert manifest["params"]["gate"] == GateConfig().model_dump(mode="json")
    assert manifest["metrics"]["average"] == pytest.approx(0.8)
    metrics = read_json(chain / "report/metrics.json")
    assert metrics["manifest_digest"] == digest_file(out / "manifest.json")
    assert (metrics["name"], metrics["version"], metrics["type"]) == ("trace", "1.2.3", "model")
    assert (chain / "report/MODEL_CARD.md").read_bytes() == (out / "MODEL_CARD.md").read_bytes()


def test_the_curves_of_its_training_go_with_it(chain: Path) -> None:
    inputs = {name: chain / name for name in PARTS}
    inputs["curves"] = write_curves(chain / "training", chain / "model")
    about, out = RegisterConfig(version="1.2.3"), chain / "registered"
    run_step("register", about, inputs=inputs, out=out, report=chain / "report", work_root=chain / "work")
    assert "evidence/curves/loss.tsv" in read_json(out / "manifest.json")["files"]
    assert set(read_curves(out / "evidence")) == {"loss"}


def test_registering_again_gives_the_same_bytes(chain: Path) -> None:
    first = digest_tree(register_chain(chain))
    assert digest_tree(register_chain(chain)) == first


def test_a_registered_model_can_be_the_champion(chain: Path) -> None:
    out = register_chain(chain)
    champion = read_evidence(out)
    assert champion.digest == read_evidence(chain / "evaluation").digest
    assert champion.files == FILES


def test_a_refused_model_is_not_registered(tmp_path: Path) -> None:
    with pytest.raises(GateFailed):
        write_chain(tmp_path, GateConfig(floors=FloorParams(average=0.99)))
    with pytest.raises(DataError, match="the gate refused this model: floor: average"):
        register_chain(tmp_path)
    assert not (tmp_path / "registered").exists()


OPEN = FloorParams(average=0.1)  # any floor: what matters is the judged system


def _card(out: Path) -> str:
    return " ".join((out / "MODEL_CARD.md").read_text().split())


def test_the_judged_threshold_is_served(tmp_path: Path) -> None:
    out = register_chain(write_chain(tmp_path, GateConfig(system="budget", floors=OPEN)))
    settings = Settings.load(out)
    assert settings.route_threshold == 0.125
    assert settings.route is not None
    assert (settings.route.system, settings.route.limit, settings.route.unit) == ("budget", 8.0, "tokens")
    assert settings.route.expected == BUDGET["expected"]
    assert settings.max_trace_tokens == 64
    assert read_json(out / "manifest.json")["params"]["model"]["route"]["threshold"] == 0.125
    assert "at least 0.125" in _card(out)
    assert "budget of 8 tokens" in _card(out)
    assert Settings.load(tmp_path / "model").route is None


@pytest.mark.parametrize(
    ("system", "threshold", "word"), [("never", 0.0, "Never"), ("always", 2.0, "Always")]
)
def test_a_fixed_mode_that_was_judged_is_served(
    tmp_path: Path, system: Any, threshold: float, word: str
) -> None:
    reasoning = ReasoningParams(max_simple=1.0, min_complex=0.0)
    config = GateConfig(system=system, floors=OPEN, reasoning=reasoning)
    out = register_chain(write_chain(tmp_path, config))
    assert Settings.load(out).route_threshold == threshold
    assert f"{word}: its `trace.json` says so" in _card(out)


def test_the_models_own_route_leaves_its_settings_as_they_were(chain: Path) -> None:
    out = register_chain(chain)
    assert (out / "trace.json").read_bytes() == (chain / "model/trace.json").read_bytes()
    assert "most probable first token decides" in _card(out)


def test_a_threshold_of_an_earlier_registration_does_not_outlive_its_verdict(tmp_path: Path) -> None:
    write_json(
        write_model(tmp_path / "model") / "trace.json",
        {"kind": "trace", "route": {"system": "budget", "threshold": 0.5}},
    )
    out = register_chain(write_chain(tmp_path))
    assert Settings.load(out).route is None


def test_a_system_that_cannot_be_served_is_not_registered(tmp_path: Path) -> None:
    write_chain(tmp_path, GateConfig(system="oracle", floors=OPEN))
    with pytest.raises(DataError, match="judged 'oracle', which this model cannot be served as"):
        register_chain(tmp_path)
    assert not (tmp_path / "registered").exists()


def _other_evaluation(chain: Path) -> None:
    (chain / "evaluation").rename(chain / "old")
    write_evaluation(chain / "evaluation", records("auto", {"mojicap_task0": 0.95}))


def _other_validation(chain: Path) -> None:
    path = chain / "validation/validation.json"
    write_json(path, read_json(path) | {"success": False})


def _other_model(chain: Path) -> None:
    write_json(chain / "model/trace.json", {"kind": "encoder"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_evaluation, "verdict is about another evaluation"),
        (_other_validation, "verdict is about another validation"),
        (_other_model, "evaluation is of another model"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(
    chain: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(chain)
    with pytest.raises(DataError, match=message):
        register_chain(chain)


def test_a_version_is_semantic() -> None:
    with pytest.raises(ConfigError, match="version"):
        load_section("register", None, ["register.version=latest"])
    with pytest.raises(ConfigError, match="name"):
        load_section("register", None, ["register.name=My_Model"])
