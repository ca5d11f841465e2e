import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.colours import build_model
from tests.serving.running import NAME, Running, Served, run_embed

from trace_retriever.config.serve import ServeSettings
from trace_retriever.errors import DataError
from trace_retriever.io.files import replace_directory
from trace_retriever.mbeir.ids import candidate_id
from trace_retriever.mbeir.layout import Layout
from trace_retriever.search.building import Demand, build
from trace_retriever.search.exact import ExactIndex
from trace_retriever.serving.errors import BadRequest, SwapRefused
from trace_retriever.serving.identity import identify
from trace_retriever.serving.retrieve import Retriever, Snapshot
from trace_retriever.store.embeddings import Embeddings

MODEL = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def stored(served: Served) -> Embeddings:
    return Embeddings.load(served.embeddings)


@pytest.fixture(scope="module")
def models(served: Served) -> frozenset[str]:
    return identify(served.model).models


@pytest.fixture
def retriever(copied: Served, models: frozenset[str]) -> Retriever:
    return Retriever(copied.sources, models)


def query(stored: Embeddings) -> Any:
    return stored.of("mojihop_task1", "test")[1][0, 0]


def dids(stored: Embeddings, rows: Any) -> list[str]:
    return [candidate_id(number) for number in stored.numbers[rows].tolist()]


def test_all_candidates_are_searched_exactly(retriever: Retriever, stored: Embeddings) -> None:
    vector = query(stored)
    found = ExactIndex(stored.candidates).search(vector[None], 5)
    hits = retriever.search(vector, 5)
    assert [hit.did for hit in hits] == dids(stored, found.rows[0])
    np.testing.assert_array_equal([hit.score for hit in hits], found.scores[0])


def test_a_pool_is_that_of_the_evaluation(retriever: Retriever, stored: Embeddings, served: Served) -> None:
    layout, vector = Layout(served.dataset), query(stored)
    for pair in layout.pairs("test"):
        pool = {candidate.did: candidate for candidate in layout.pool(pair, "test")}
        rows = stored.rows(pool)
        found = ExactIndex(stored.candidates, rows).search(vector[None], len(pool) + 5)
        hits = retriever.search(vector, len(pool) + 5, pair.name)
        assert [hit.did for hit in hits] == dids(stored, rows[found.rows[0]])
        for hit in hits:
            assert hit.payload["img_path"] == pool[hit.did].img_path
            assert hit.payload["modality"] == pool[hit.did].modality


def test_an_unknown_pool_is_told_the_known_ones(retriever: Retriever, stored: Embeddings) -> None:
    with pytest.raises(BadRequest, match="mojihop_task1"):
        retriever.search(query(stored), 3, "none")


def test_a_saved_index_finds_the_same(
    copied: Served, stored: Embeddings, models: frozenset[str], tmp_path: Path
) -> None:
    queries = stored.queries[:][:, 0].astype(np.float32)
    snapshot = Snapshot.load(copied.sources, models)
    demand = Demand(k=3)
    for model, embeddings, fits in (
        (next(iter(models)), snapshot.matrix.digest, True),
        (MODEL, snapshot.matrix.digest, False),
        (next(iter(models)), MODEL, False),
    ):
        index = build(
            stored.candidates, queries, kind="flat", model=model, embeddings=embeddings, demand=demand
        )
        index.save(tmp_path / "index")
        sources = replace(copied.sources, index=tmp_path / "index")
        if not fits:
            with pytest.raises(DataError, match="another"):
                Snapshot.load(sources, models)
            continue
        fast = Snapshot.load(sources, models)
        assert fast.digest != snapshot.digest
        for vector in queries[:4]:
            assert fast.search(vector, 3, None) == snapshot.search(vector, 3, None)


def test_vectors_of_another_model_are_refused(copied: Served) -> None:
    with pytest.raises(DataError, match="of another model"):
        Retriever(copied.sources, frozenset({MODEL}))


@pytest.mark.parametrize("name", ["00000.npy", "00000.parquet"])
def test_altered_files_are_refused(copied: Served, models: frozenset[str], name: str) -> None:
    file = copied.embeddings / "candidates" / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="altered"):
        Snapshot.load(copied.sources, models)
    file.unlink()
    with pytest.raises(DataError, match="not found"):
        Snapshot.load(copied.sources, models)


def test_a_pool_that_was_not_embedded_is_refused(
    copied: Served, models: frozenset[str], tmp_path: Path
) -> None:
    dataset = shutil.copytree(copied.dataset, tmp_path / "more")
    pool = Layout(dataset).files.pool(Layout(dataset).pairs("test")[0], None)
    line = json.loads(pool.read_text().splitlines()[0])
    with pool.open("a") as stream:
        stream.write(json.dumps({**line, "did": line["did"].split(":")[0] + ":777"}) + "\n")
    with pytest.raises(DataError, match=":777 was not embedded"):
        Snapshot.load(replace(copied.sources, dataset=dataset), models)


def test_a_snapshot_outlives_its_directory(copied: Served, retriever: Retriever, stored: Embeddings) -> None:
    before = retriever.search(query(stored), 5)
    old = retriever.snapshot
    file = copied.embeddings / "candidates" / "00000.npy"
    other = file.with_suffix(".new")
    other.write_bytes(b"nothing of use" * 100)
    other.replace(file)
    assert old.search(query(stored), 5, None) == before
    with pytest.raises(SwapRefused, match="altered"):
        retriever.swap()
    assert retriever.snapshot is old
    shutil.rmtree(copied.embeddings)
    with pytest.raises(SwapRefused, match="not found"):
        retriever.swap()
    assert retriever.search(query(stored), 5) == before


def test_a_swap_takes_what_is_expected_or_nothing(
    copied: Served, retriever: Retriever, served: Served, tmp_path: Path
) -> None:
    first = retriever.snapshot.digest
    run_embed(served, tmp_path / "fewer", pairs=("mojihop_task1", "mojiedit_task7", "mojicap_task0"))
    with pytest.raises(SwapRefused, match="expected"):
        retriever.swap(MODEL)
    assert retriever.swap(first) == first
    other = replace(copied, model=tmp_path / "other")
    build_model(seed=1).save(other.model)
    run_embed(other, tmp_path / "others")
    replace_directory(tmp_path / "others", copied.embeddings)
    with pytest.raises(SwapRefused, match="of another model"):
        retriever.swap()
    assert retriever.snapshot.digest == first


def test_swapping_under_traffic_loses_no_request(copied: Served, tmp_path: Path) -> None:
    """Two states of the candidates take turns on disk; each answer is wholly of one of them."""
    other = shutil.copytree(copied.dataset, tmp_path / "other")
    for pool in (other / "cand_pool" / "local").glob("*.jsonl"):
        pool.write_text(pool.read_text().replace("fact about", "step of"))
    run_embed(replace(copied, dataset=other), tmp_path / "second")
    with (
        Running(copied.service(ServeSettings(slots=4)), token="secret") as running,
        running.client() as client,
    ):
        answers: list[Any] = []
        done = threading.Event()
        asked = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["after red", "square of gold"]}

        def ask() -> None:
            with running.client() as own:
                while not done.is_set():
                    body = {"inputs": [asked], "parameters": {"k": 5}}
                    answers.append(own.post(f"/v2/models/{NAME}/infer", json=body))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        digests = set()
        for _ in range(4):
            spare = tmp_path / "spare"
            shutil.copytree(copied.embeddings, spare)
            replace_directory(shutil.copytree(tmp_path / "second", tmp_path / "in"), copied.embeddings)
            replace_directory(spare, tmp_path / "second")
            answer = client.post("/admin/index", headers={"Authorization": "Bearer secret"})
            assert answer.status_code == 200, answer.text
            digests.add(answer.json()["index"])
        done.set()
        for thread in threads:
            thread.join(60)
        assert len(digests) == 2
        assert all(answer.status_code == 200 for answer in answers)
        kinds = {_kind(answer.json()) for answer in answers}
        assert kinds <= {("fact",), ("step",)}
        metrics = client.get("/metrics").text
        assert 'trace_index_swaps_total{outcome="ok"} 4.0' in metrics
        assert metrics.count("trace_model_info{") == 1


def _kind(answer: dict[str, Any]) -> tuple[str, ...]:
    payloads = next(one for one in answer["outputs"] if one["name"] == "payloads")["data"]
    words = [json.loads(one)["txt"] for one in payloads]
    return tuple(sorted({word.split()[0] for word in words if word}))


def test_the_swap_wants_the_token(running: Running) -> None:
    with running.client() as client:
        for header in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "secret"},
            {"Authorization": "Bearer  secret"},
        ):
            answer = client.post("/admin/index", headers=header)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        right = {"Authorization": "Bearer secret"}
        assert client.post("/admin/index", headers=right).status_code == 200
        assert client.post("/admin/index", headers=right, json={"expected": MODEL}).status_code == 409
        assert client.post("/admin/index", headers=right, json={"path": "/etc"}).status_code == 422


def test_without_an_index_there_is_no_swap_and_no_k(served: Served) -> None:
    service = served.service(ServeSettings(slots=2), index=False)
    with pytest.raises(BadRequest, match="no index"):
        service.swap()
    with Running(service) as running, running.client() as client:
        asked = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}
        assert (
            client.post(f"/v2/models/{NAME}/infer", json=asked | {"parameters": {"k": 1}}).status_code == 400
        )
        assert client.post(f"/v2/models/{NAME}/infer", json=asked).status_code == 200
        assert client.post("/admin/index", headers={"Authorization": "Bearer None"}).status_code == 401
