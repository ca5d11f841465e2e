"""The peers' loops give the engine's embeddings, and the whole benchmark runs, on a tiny random model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from peers.generating import direct, generate_then_reencode, one_by_one, static_batches  # type: ignore[import-not-found]
from peers.inputs import Output, prepare  # type: ignore[import-not-found]
from tests.evaluation.colours import build_model, write_benchmark
from workload import mix, read_pools, read_queries, recall  # type: ignore[import-not-found]

import engine as command  # type: ignore[import-not-found]
from trace_retriever.engine.choose import special_ids
from trace_retriever.engine.encoded import Encoded
from trace_retriever.engine.engine import Engine
from trace_retriever.io.files import read_json
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item

Loop = Callable[[TraceModel, Any, int], Output]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_benchmark(root)
    return root


@pytest.fixture(scope="module")
def model() -> TraceModel:
    """One that never writes a picture's placeholder, which the peers could not encode again."""
    model = build_model()
    network: Any = model.network
    with torch.no_grad():
        network.get_input_embeddings().weight[
            sorted(special_ids(model) - {model.prompt_ids(Item("the"))[-1]})
        ] = 0
    return model


@pytest.fixture(scope="module")
def expected(model: TraceModel, dataset: Path) -> list[tuple[Item, Encoded]]:
    """The engine's answers to queries whose traces neither peers nor engine give up."""
    items = [one.item for one in read_queries(dataset)]
    found = zip(items, Engine(model).encode(items, reason="auto"), strict=True)
    kept = [(item, one) for item, one in found if not one.fallback]
    assert {one.route for _, one in kept} == {"simple", "complex"}
    return kept


@pytest.mark.parametrize(
    ("loop", "size"),
    [(one_by_one, 1), (static_batches, 4), (static_batches, 32), (generate_then_reencode, 32)],
)
def test_a_loop_gives_the_engines_embeddings(
    model: TraceModel, expected: Sequence[tuple[Item, Encoded]], loop: Loop, size: int
) -> None:
    items = [item for item, _ in expected]
    found = loop(model, prepare(model, items, size, left=True), model.settings.max_trace_tokens)
    assert found.traces == [one.trace_ids for _, one in expected]
    np.testing.assert_allclose(found.vectors, [one.vector("auto") for _, one in expected], atol=1e-5)
    assert found.cost.needed_row_steps == sum(one.trace_tokens for _, one in expected)
    assert found.cost.decode_row_steps >= found.cost.needed_row_steps
    assert (found.cost.state_bytes > 0) or loop is generate_then_reencode


def test_direct_encoding_gives_the_engines_direct_vectors(
    model: TraceModel, expected: Sequence[tuple[Item, Encoded]]
) -> None:
    found = direct(model, prepare(model, [item for item, _ in expected], 8, left=False))
    np.testing.assert_allclose(found.vectors, [one.direct for _, one in expected], atol=1e-5)


def test_a_mix_has_the_share_of_complex_queries_that_was_asked_for(dataset: Path) -> None:
    queries = read_queries(dataset)
    assert [sum(one.complex for one in mix(queries, share, 8, seed=1)) for share in (0, 0.5, 1)] == [0, 4, 8]
    assert mix(queries, 0.5, 8, seed=1) == mix(queries, 0.5, 8, seed=1)
    assert mix(queries, 0.5, 8, seed=1) != mix(queries, 0.5, 8, seed=2)


def test_recall_counts_positives_among_the_first_k(dataset: Path) -> None:
    queries = [one for one in read_queries(dataset) if one.pair.task == 0]
    ((pair, pool),) = [(pair, pool) for pair, pool in read_pools(dataset).items() if pair.task == 0]
    dids, basis = [did for did, _ in pool], np.eye(len(pool), dtype=np.float32)
    right = np.array([basis[dids.index(min(one.positives))] for one in queries])
    assert recall(queries, right, {pair: (dids, basis)}, 1) == 1
    assert recall(queries, -right, {pair: (dids, basis)}, len(pool) - 1) == 0


@pytest.mark.slow
def test_the_benchmark_runs_and_judges_its_targets(model: TraceModel, dataset: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    out = tmp_path / "engine.json"
    arguments = ["--model", str(tmp_path / "model"), "--dataset", str(dataset), "--out", str(out), "--quick"]
    done = CliRunner().invoke(command.main, [*arguments, "--count", "8"], catch_exceptions=False)
    assert done.exit_code == 0
    sections = read_json(out)["sections"]
    assert set(sections) == {"peers", "direct", "modes", "scaling", "targets"}
    assert sections["targets"]["rows"]["simple: decode steps"] == {"value": 0, "bound": 0, "holds": True}
    assert "SHORT" in done.output or "holds" in done.output
