import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.search.vectors import unit

from trace_retriever.errors import DataError, Refused
from trace_retriever.io.files import digest_bytes
from trace_retriever.search.building import Demand, build, recall, update
from trace_retriever.search.exact import ExactIndex
from trace_retriever.search.serving import INDEX, MANIFEST, ROWS, Kind, ServingIndex
from trace_retriever.store.matrix import Vectors

MODEL, EMBEDDINGS, LATER = (digest_bytes(name) for name in (b"model", b"embeddings", b"later"))
KINDS: tuple[Kind, ...] = ("flat", "ivf-rabitq", "ivf-pq")
DEMAND = Demand(recall=0.99, k=10)


def clustered(rng: np.random.Generator, count: int, dim: int = 32) -> Vectors:
    """Vectors around a few centres, as trained embeddings lie."""
    centres = unit(np.random.default_rng(99), 40, dim)
    near = centres[rng.integers(0, len(centres), count)] + 0.5 * unit(rng, count, dim)
    found: Vectors = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    return found


@dataclass(frozen=True)
class Scene:
    stored: NDArray[np.float16]
    queries: Vectors
    built: dict[Kind, ServingIndex]


@pytest.fixture(scope="module")
def scene() -> Scene:
    rng = np.random.default_rng(0)
    stored, queries = clustered(rng, 3000).astype(np.float16), clustered(rng, 80)
    built = {
        kind: build(stored, queries, kind=kind, model=MODEL, embeddings=EMBEDDINGS, demand=DEMAND)
        for kind in KINDS
    }
    return Scene(stored, queries, built)


@pytest.mark.parametrize("kind", KINDS)
def test_the_recall_that_is_stated_is_that_of_queries_not_tuned_on(scene: Scene, kind: Kind) -> None:
    index = scene.built[kind]
    truth = ExactIndex(scene.stored).search(scene.queries[1::2], 10).rows
    assert index.manifest.recall == recall(index, scene.queries[1::2], truth) >= 0.99
    assert (index.manifest.recall_k, index.manifest.recall_queries) == (10, 40)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_exact_search(scene: Scene, kind: Kind) -> None:
    exact = ExactIndex(scene.stored).search(scene.queries, 10)
    found = scene.built[kind].search(scene.queries, 10)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    for query in range(len(scene.queries)):
        known = dict(zip(exact.rows[query].tolist(), exact.scores[query].tolist(), strict=True))
        ours = dict(zip(found.rows[query].tolist(), found.scores[query].tolist(), strict=True))
        assert all(known[row] == ours[row] for row in known.keys() & ours.keys())


def test_flat_finds_what_the_exact_search_finds(scene: Scene) -> None:
    exact = ExactIndex(scene.stored).search(scene.queries, 10)
    np.testing.assert_array_equal(scene.built["flat"].search(scene.queries, 10).rows, exact.rows)


@pytest.mark.parametrize("kind", ["ivf-rabitq", "ivf-pq"])
def test_an_index_below_the_demand_is_refused_with_its_figures(kind: Kind) -> None:
    rng = np.random.default_rng(1)
    scattered = unit(rng, 3000, 32).astype(np.float16)  # nothing to cluster
    weak = Demand(recall=0.99, k=10, probes=0.02, widths=(1,))
    with pytest.raises(
        Refused, match=r"recall@10 of the .* index is 0\.\d+, 0\.99 is demanded \(20 held-out"
    ) as refusal:
        build(scattered, unit(rng, 40, 32), kind=kind, model=MODEL, embeddings=EMBEDDINGS, demand=weak)
    reached = refusal.value.metrics["recall"]
    assert isinstance(reached, float)
    assert 0 < reached < 0.99


def test_tuning_stays_within_the_permitted_share_of_lists(scene: Scene) -> None:
    for index in scene.built.values():
        assert index.manifest.probes <= max(1, index.manifest.lists // 2)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_finds_the_same(scene: Scene, kind: Kind, tmp_path: Path) -> None:
    written = scene.built[kind].save(tmp_path / "index")
    loaded = ServingIndex.load(tmp_path / "index", scene.stored, model=MODEL, embeddings=EMBEDDINGS)
    assert loaded.manifest == written
    one, other = (index.search(scene.queries, 10) for index in (scene.built[kind], loaded))
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.scores, other.scores)


@pytest.mark.parametrize("name", ["model", "embeddings"])
def test_another_model_or_other_embeddings_are_refused(scene: Scene, tmp_path: Path, name: str) -> None:
    scene.built["flat"].save(tmp_path / "index")
    with pytest.raises(DataError, match=f"built for another {name}"):
        ServingIndex.load(
            tmp_path / "index", scene.stored, **{"model": MODEL, "embeddings": EMBEDDINGS, name: LATER}
        )


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("name", "harm"),
    [(MANIFEST, Path.unlink), *((name, harm) for name in (INDEX, ROWS) for harm in (flip, cut, Path.unlink))],
)
def test_damage_is_found_before_faiss_reads(
    scene: Scene, tmp_path: Path, name: str, harm: Callable[[Path], None]
) -> None:
    scene.built["ivf-pq"].save(tmp_path / "index")
    harm(tmp_path / "index" / name)
    with pytest.raises(DataError, match=name):
        ServingIndex.load(tmp_path / "index", scene.stored, model=MODEL, embeddings=EMBEDDINGS)


def test_bytes_that_are_no_index_end_in_a_message(scene: Scene, tmp_path: Path) -> None:
    """Even where somebody has written a manifest to fit."""
    scene.built["flat"].save(tmp_path / "index")
    path, content = tmp_path / "index" / MANIFEST, b"IxFI" + b"\xff" * 60
    (tmp_path / "index" / INDEX).write_bytes(content)
    manifest = json.loads(path.read_text())
    manifest["files"][INDEX], manifest["bytes"] = digest_bytes(content), len(content)
    path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="FAISS cannot read"):
        ServingIndex.load(tmp_path / "index", scene.stored, model=MODEL, embeddings=EMBEDDINGS)


def test_rows_that_point_beyond_the_vectors_are_refused(scene: Scene, tmp_path: Path) -> None:
    scene.built["flat"].save(tmp_path / "index")
    with pytest.raises(DataError, match="not what its manifest says"):
        ServingIndex.load(tmp_path / "index", scene.stored[:2999], model=MODEL, embeddings=EMBEDDINGS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_follows_the_embeddings(scene: Scene, kind: Kind, tmp_path: Path) -> None:
    """Some candidates are gone, one has changed, new ones lie among the old."""
    rng = np.random.default_rng(2)
    fresh = clustered(rng, 200).astype(np.float16)
    stay = np.setdiff1d(np.arange(3000), [5, 77, 1500])
    both = np.concatenate([scene.stored[stay], fresh])
    order = rng.permutation(len(both))
    place = np.argsort(order)
    moved = np.full(3000, -1)
    moved[stay] = place[: len(stay)]
    old = scene.built[kind]
    new = update(old, both[order], moved, scene.queries, model=MODEL, embeddings=LATER, demand=DEMAND)
    assert (len(new), new.manifest.entries, new.manifest.gone) == (3197, 3200, 3)
    truth = ExactIndex(both[order]).search(scene.queries, 10)
    assert recall(new, scene.queries, truth.rows) >= 0.99
    found = new.search(fresh.astype(np.float32), 1)
    assert (found.rows[:, 0] == place[len(stay) :]).mean() > 0.98
    assert len(old) == 3000
    new.save(tmp_path / "index")
    ServingIndex.load(tmp_path / "index", both[order], model=MODEL, embeddings=LATER)


def test_an_update_does_not_mix_models(scene: Scene) -> None:
    with pytest.raises(DataError, match="another model"):
        update(
            scene.built["flat"], scene.stored, np.arange(3000), scene.queries, model=LATER, embeddings=LATER
        )


@pytest.mark.parametrize(
    "moved", [np.arange(2999), np.zeros(3000, np.int64), np.arange(1, 3001)], ids=["few", "twice", "beyond"]
)
def test_an_update_whose_moves_do_not_fit_is_refused(scene: Scene, moved: NDArray[Any]) -> None:
    with pytest.raises(DataError, match=r"entries need|has moved to row 3000 of 3000"):
        update(scene.built["flat"], scene.stored, moved, scene.queries, model=MODEL, embeddings=LATER)


def test_too_little_to_build_on() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="1 queries"):
        build(unit(rng, 9), unit(rng, 1), kind="flat", model=MODEL, embeddings=EMBEDDINGS)
