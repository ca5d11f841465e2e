"""Arrows point down only: a module imports from its own package and from the layers below it."""

import pytest
from tests.contracts.code import imports, modules

# Bottom first. Rooms on one line do not know each other.
LAYERS = (
    {"", "errors"},
    {"io", "step"},
    {"config"},
    {"model"},
    {"mbeir"},
    {"engine", "store"},
    {"search", "bulk"},
    {"training", "traces", "validation", "evaluation", "gates"},
    {"openmoji", "cards"},
    {"steps"},
    {"runner"},
    {"registry", "serving", "replay"},
    {"kubernetes", "experiments"},
    {"kubeflow", "ask", "doctor"},
    {"demo_app", "review", "rollout"},
    {"cli"},
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
PAIRS = [(name, other) for name in modules() for other in sorted(imports(name))]


def room(module: str) -> str:
    return module.split(".")[0]


def test_every_room_has_its_layer() -> None:
    assert {room(module) for module in modules()} == set(LEVEL)


def test_nothing_imports_upward_or_sideways() -> None:
    assert len(PAIRS) > 100
    wrong = [
        f"{module} imports {other}"
        for module, other in PAIRS
        if room(module) != room(other) and LEVEL[room(other)] >= LEVEL[room(module)]
    ]
    assert wrong == []


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("steps.")])
def test_a_step_does_not_call_another_step(module: str) -> None:
    assert [other for name, other in PAIRS if name == module and other.startswith("steps.")] == []
