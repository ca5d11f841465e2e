"""`trace registry md5`: the registry's versions by the names that pipelines fetch them by."""

from pathlib import Path

import pytest
from tests.registry.made import ANN, NAME, Packages, World

from trace_retriever.io.files import digest_tree
from trace_retriever.kubeflow.remote import Remote
from trace_retriever.registry.dvc import dvc_md5, md5_of_version
from trace_retriever.registry.errors import Conflict, NotFound

on_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@on_sqlite
def test_it_is_what_dvc_itself_calls_the_package_and_brings_it_back(world: World, tmp_path: Path) -> None:
    package = world.packages.make("1.0.0")
    world.candidate("1.0.0")
    remote = Remote(str(tmp_path / "remote"))
    found = md5_of_version(world.registry, NAME, "1.0.0")
    assert found == remote.push(package)
    remote.pull(found, tmp_path / "back")
    assert digest_tree(tmp_path / "back") == digest_tree(package)


def test_names_below_folders_count_in_dvcs_order(tmp_path: Path) -> None:
    made = tmp_path / "made"
    for name in ("b", "a/z.txt", "a.txt", "a-b/c", "ä/ö.txt"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(name.encode() + b"\r\n")
    assert dvc_md5(made) == Remote(str(tmp_path / "remote")).push(made)


@on_sqlite
def test_without_a_version_it_is_the_one_in_production(world: World) -> None:
    with pytest.raises(NotFound, match=r"no version of trace is in production\n.*registry md5 trace VERSION"):
        md5_of_version(world.registry, NAME)
    world.production("1.0.0")
    world.candidate("1.1.0")
    assert md5_of_version(world.registry, NAME) == md5_of_version(world.registry, NAME, "1.0.0")
    assert md5_of_version(world.registry, NAME) != md5_of_version(world.registry, NAME, "1.1.0")


@on_sqlite
def test_other_bytes_than_those_registered_are_not_named(world: World) -> None:
    version = world.candidate("1.0.0")
    assert version.directory is not None
    card = version.directory / "MODEL_CARD.md"
    card.chmod(0o644)
    card.write_text("better\n")
    with pytest.raises(Conflict, match=r"MODEL_CARD\.md"):
        md5_of_version(world.registry, NAME, "1.0.0")


@on_sqlite
def test_a_package_that_lies_elsewhere_says_where_to_look(world: World, packages: Packages) -> None:
    world.registry.register(packages.make("1.0.0"), by=world.who(ANN), uri="s3://models/trace/1.0.0")
    with pytest.raises(Conflict, match=r"(?s)lie elsewhere.*s3://models/trace/1\.0\.0.*task `register`"):
        md5_of_version(world.registry, NAME, "1.0.0")
