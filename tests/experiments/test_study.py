"""The study's definition: what is read, what is refused, what there is to run and in which order."""

from pathlib import Path

import pytest
import yaml
from tests.experiments.conftest import STUDY

from trace_retriever.errors import ConfigError
from trace_retriever.experiments.study import Study, merged, read_study, toy
from trace_retriever.experiments.units import PROBES, units


def test_the_committed_study_changes_one_thing_a_variant() -> None:
    study = read_study(STUDY)
    base = study.config("trace", 1)
    for name in study.variants:
        mine = study.config(name, 1)
        assert (mine.steps, mine.batch, mine.seed) == (base.steps, base.batch, base.seed), name
    assert study.config("lambda-2", 3).loss.lambda_gen == 2.0
    assert study.config("lambda-2", 3).loss.direct_weight == base.loss.direct_weight
    assert study.config("lambda-2", 3).seed == 3


def test_changes_go_as_deep_as_they_say() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merged(base, {"a": {"b": 4}, "e": 5}) == {"a": {"b": 4, "c": 2}, "d": 3, "e": 5}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"variants": {"trace": {"seeds": 0, "set": {}}}}, "seeds"),
        ({"variants": {"trace": {"seeds": 1, "set": {"stepps": 3}}}}, "stepps"),
        ({"variants": {"trace": {"seeds": 1, "set": {}, "backbone": "huge"}}}, "there is no backbone 'huge'"),
        (
            {"variants": {"trace": {"seeds": 1, "set": {}, "traces": "made up"}}},
            "there is no traces 'made up'",
        ),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    content = {**yaml.safe_load(STUDY.read_text()), **change}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=problem) as caught:
        read_study(path)
    assert str(path) in str(caught.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such study"):
        read_study(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("base: [")
    with pytest.raises(ConfigError, match="not YAML"):
        read_study(broken)


def test_the_toy_study_has_every_variant_once() -> None:
    whole = read_study(STUDY)
    small = toy(whole)
    assert small.variants.keys() == whole.variants.keys()
    assert {variant.seeds for variant in small.variants.values()} == {1}
    assert small.config("lora", 1).adapt == whole.config("lora", 1).adapt
    assert small.config("lora", 1).steps < 10


def test_units_come_by_seed_and_after_what_they_need(study: Study) -> None:
    found = units(read_study(STUDY))
    keys = [unit.key for unit in found]
    assert len(keys) == len(set(keys))
    assert all(keys.index(need) < keys.index(unit.key) for unit in found for need in unit.needs)
    assert [unit.seed for unit in found] == sorted(unit.seed for unit in found)
    assert {unit.kind for unit in units(study)} == {"train", "traces", "backbone", *PROBES}
