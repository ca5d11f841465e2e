from pathlib import Path

import pytest
import yaml

from trace_retriever.config import SECTIONS, Section, check_section, load_params, load_section, section_type
from trace_retriever.config.prepare import PrepareConfig
from trace_retriever.errors import ConfigError
from trace_retriever.step import STEPS


def params(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_each_step_has_a_section_and_no_other_exists() -> None:
    assert list(SECTIONS) == list(STEPS)


@pytest.mark.parametrize("name", SECTIONS)
def test_each_section_loads_with_its_defaults(name: str) -> None:
    section = load_section(name, None)
    assert type(section) is section_type(name)
    assert check_section(name, section.model_dump(mode="json"), where="dump") == section


def fields(kind: type[Section], prefix: str) -> list[tuple[str, str | None]]:
    found = []
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            found += fields(inner, f"{prefix}.{name}")
        else:
            found.append((f"{prefix}.{name}", field.description))
    return found


@pytest.mark.parametrize("name", SECTIONS)
def test_each_param_says_what_it_means(name: str) -> None:
    assert [key for key, description in fields(section_type(name), name) if not description] == []


def test_values_come_from_the_file_and_then_from_overrides(tmp_path: Path) -> None:
    path = params(tmp_path / "params.yaml", "prepare:\n  openmoji: {seed: 5, val: 7}\n")
    section = load_section("prepare", path, ["prepare.openmoji.seed=6", "train.seed=9"])
    assert isinstance(section, PrepareConfig)
    assert (section.openmoji.seed, section.openmoji.val) == (6, 7)


def test_lists_are_taken_as_tuples(tmp_path: Path) -> None:
    path = params(tmp_path / "params.yaml", "prepare:\n  mbeir: {pairs: [cirr_task7, oven_task6]}\n")
    section = load_section("prepare", path)
    assert isinstance(section, PrepareConfig)
    assert section.mbeir.pairs == ("cirr_task7", "oven_task6")


def test_an_empty_file_and_an_empty_section_mean_the_defaults(tmp_path: Path) -> None:
    for text in ("", "prepare:\n"):
        assert load_section("prepare", params(tmp_path / "p.yaml", text)) == load_section("prepare", None)


def test_a_mistyped_section_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = params(tmp_path / "params.yaml", "prepair:\n  source: openmoji\n")
    with pytest.raises(ConfigError, match="unknown key 'prepair'") as error:
        load_params(path)
    assert error.value.where == str(path)
    assert error.value.remedy == "did you mean 'prepare'?"


@pytest.mark.parametrize(
    ("text", "override", "close"),
    [
        ("sorce: openmoji", "prepare.sorce=openmoji", "source"),
        ("openmojy: {}", "prepare.openmojy={}", "openmoji"),
    ],
)
def test_a_mistyped_key_is_named_with_the_nearest(
    tmp_path: Path, text: str, override: str, close: str
) -> None:
    path = params(tmp_path / "params.yaml", f"prepare:\n  {text}\n")
    calls: list[tuple[Path | None, list[str]]] = [(path, []), (None, [override])]
    for file, overrides in calls:
        with pytest.raises(ConfigError, match="unknown key") as error:
            load_section("prepare", file, overrides)
        assert error.value.remedy == f"did you mean {close!r}?"


def test_a_mistyped_inner_key_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = params(tmp_path / "params.yaml", "prepare:\n  openmoji: {sede: 3}\n")
    with pytest.raises(ConfigError, match=r"unknown key 'openmoji\.sede'") as error:
        load_section("prepare", path)
    assert error.value.remedy == "did you mean 'seed'?"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("prepare.openmoji.seed=many", "openmoji.seed: .*'many'"),
        ("prepare.openmoji.seed=1.5", "openmoji.seed: .*1.5"),
        ("prepare.openmoji.seed='1'", "openmoji.seed: .*'1'"),
        ("prepare.openmoji.seed=true", "openmoji.seed: .*True"),
        ("prepare.openmoji.held_out=1.0", "openmoji.held_out: .*less than 1"),
        ("prepare.source=cloud", "source: .*'cloud'"),
        ("prepare.openmoji=3", "openmoji: .*3"),
        ("prepare.openmoji.seed=", "openmoji.seed: .*None"),
        ("prepare.openmoji.held_out=.nan", "openmoji.held_out"),
    ],
)
def test_a_wrong_value_is_named_with_key_and_value(override: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as error:
        load_section("prepare", None, [override])
    assert error.value.where == "defaults, section prepare"
    assert error.value.remedy


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\tprepare: {}", "prepare: !!python/name:os.system"])
def test_a_file_that_is_not_yaml_is_named(tmp_path: Path, text: str) -> None:
    path = params(tmp_path / "params.yaml", text)
    with pytest.raises(ConfigError, match="not valid YAML") as error:
        load_params(path)
    assert error.value.where == str(path)


@pytest.mark.parametrize("text", ["- prepare", "hello", "3"])
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="one mapping of sections"):
        load_params(params(tmp_path / "params.yaml", text))


@pytest.mark.parametrize("text", ["prepare: [1, 2]", "prepare: hello", "prepare: 3"])
def test_a_section_that_is_no_mapping_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="a section is a mapping"):
        load_section("prepare", params(tmp_path / "params.yaml", text))


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"prepare: \xff")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_params(tmp_path / "params.yaml")


def test_a_missing_file_or_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not found"):
        load_params(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="a folder and not a file"):
        load_params(tmp_path)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("prepare.openmoji.seed", "not section.key=value"),
        ("prepare=3", "not section.key=value"),
        ("", "not section.key=value"),
        ("prepair.seed=3", "unknown key 'prepair'"),
        ("prepare.source.deep=3", "prepare.source.deep"),
        ("prepare.openmoji.seed=[", "not valid YAML"),
        ("prepare.openmoji.seed=2020-01-01", "openmoji.seed|not JSON"),
    ],
)
def test_a_bad_override_is_named(tmp_path: Path, override: str, problem: str) -> None:
    path = params(tmp_path / "params.yaml", yaml.safe_dump({"prepare": {"source": "openmoji"}}))
    with pytest.raises(ConfigError, match=problem):
        load_section("prepare", path, [override])
