from pathlib import Path

import pytest

from trace_retriever.errors import CheckpointError
from trace_retriever.io.files import read_json, write_json
from trace_retriever.model.settings import RouteSetting, Settings

ROUTE = RouteSetting(system="budget", threshold=0.25, unit="tokens", limit=8.0, split="val")


def test_settings_without_a_route_say_nothing_of_it(tmp_path: Path) -> None:
    Settings(kind="trace").save(tmp_path)
    assert "route" not in read_json(tmp_path / "trace.json")
    assert Settings.load(tmp_path).route_threshold is None


def test_a_route_comes_back(tmp_path: Path) -> None:
    settings = Settings(kind="trace", route=ROUTE)
    settings.save(tmp_path)
    assert Settings.load(tmp_path) == settings
    assert settings.route_threshold == 0.25


@pytest.mark.parametrize(
    "route",
    [{}, {"system": "budget"}, {"system": "oracle", "threshold": 0.5}, {"system": "budget", "threshold": -1}],
)
def test_a_broken_route_is_refused(tmp_path: Path, route: object) -> None:
    write_json(tmp_path / "trace.json", {"kind": "trace", "route": route})
    with pytest.raises(CheckpointError, match="route"):
        Settings.load(tmp_path)
