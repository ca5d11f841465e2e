"""The whole story at toy size: from pictures and words to a registered model, and where it must stop."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from scripts.toy import PROFILE
from tests.story.toy import Story

from trace_retriever.cards.manifest import verify_registered
from trace_retriever.cli import main
from trace_retriever.errors import DataError, GateFailed, ValidationFailed
from trace_retriever.io.files import digest_tree, read_json
from trace_retriever.mbeir.layout import Layout
from trace_retriever.runner import read_manifest
from trace_retriever.step import STEPS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_each_step_leaves_its_metrics_and_says_what_it_made_from_what(story: Story) -> None:
    for name, step in STEPS.items():
        manifest = read_manifest(story.report(name))
        assert manifest["output"] == digest_tree(story.out(name))
        for key, path in step.inputs.items():
            assert manifest["inputs"][key] == digest_tree(story.root / path), f"{name}, {key}"
        assert read_json(story.report(name) / "metrics.json")
    assert not list((story.root / ".trace").iterdir())
    assert not [path for path in story.root.rglob("*.partial") if path.is_dir()]


def test_the_parts_of_the_chain_fit_together(story: Story) -> None:
    read: dict[str, Any] = {name: read_json(story.report(name) / "metrics.json") for name in STEPS}
    assert read["prepare"]["pair_count"] >= 10
    assert read["prepare"]["test_queries"] == 5 * read["prepare"]["pair_count"]
    layout = Layout(story.out("prepare"))
    scored = read_json(story.out("evaluate") / "results.json")
    assert set(scored["pairs"]) == {pair.name for pair in layout.pairs("test")}
    traces, kept, dropped = (
        len((story.root / path).read_text().splitlines())
        for path in ("data/traces/traces.jsonl", "data/kept/kept.jsonl", "data/kept/dropped.jsonl")
    )
    assert kept > 0
    assert kept + dropped == traces
    assert read_json(story.out("validate") / "validation.json")["success"] is True
    assert read_json(story.out("gate") / "verdict.json")["passed"] is True


def test_the_registered_model_is_as_it_was_registered_until_somebody_touches_it(
    story: Story, tmp_path: Path
) -> None:
    assert verify_registered(story.out("register"))["verdict"]["passed"] is True
    altered = tmp_path / "altered"
    shutil.copytree(story.out("register"), altered)
    with (altered / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"\xff")
    with pytest.raises(DataError, match=r"model\.safetensors"):
        verify_registered(altered)


@pytest.mark.parametrize("name", ["route", "synthesize", "filter", "evaluate"])
def test_a_step_run_again_gives_the_same_bytes(story: Story, name: str) -> None:
    metrics = story.run(name, variant="-again")
    assert digest_tree(story.out(name, "-again")) == digest_tree(story.out(name))
    assert metrics == read_json(story.report(name) / "metrics.json")


def test_broken_data_stop_at_validate_and_are_not_trained_on(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "mbeir"
    shutil.copytree(story.out("prepare"), broken)
    picture = min(path for path in (broken / "mbeir_images").rglob("*") if path.is_file())
    picture.write_bytes(picture.read_bytes()[:40])
    monkeypatch.chdir(tmp_path)
    command = ["validate", "--params", str(PROFILE), "--dataset", str(broken)]
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--routes", str(story.out("route")), "--kept", str(story.out("filter"))])
    assert stopped.value.code == ValidationFailed.exit_code
    assert picture.name in capsys.readouterr().err
    assert picture.name in Path("results/validate/validation.html").read_text()
    assert read_json(Path("results/validate/metrics.json"))["success"] is False
    refused = {"dataset": broken, "validation": Path("data/validation")}
    with pytest.raises(ValidationFailed, match="did not pass validation"):
        story.run("train", inputs=refused, variant="-broken")


def test_a_refused_model_leaves_its_report_and_is_not_registered(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["gate", "--params", str(PROFILE), "--set", "gate.floors.average=1.0"]
    inputs = ["--evaluation", str(story.out("evaluate")), "--validation", str(story.out("validate"))]
    with pytest.raises(SystemExit) as stopped:
        main([*command, *inputs])
    assert stopped.value.code == GateFailed.exit_code
    assert "refuse" in capsys.readouterr().err
    assert "average" in Path("results/gate/gate.html").read_text()
    assert read_json(Path("verdict/verdict.json"))["passed"] is False
    with pytest.raises(DataError, match="the gate refused"):
        story.run("register", inputs={"verdict": Path("verdict")}, variant="-refused")
    assert not story.out("register", "-refused").exists()
