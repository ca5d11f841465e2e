import multiprocessing
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.evaluation.colours import HOP, build_model, write_benchmark

from trace_retriever.config.embed import EmbedConfig
from trace_retriever.engine.encode import encode
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.io.files import digest_tree
from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.bundle import load_model
from trace_retriever.search.store import Embeddings
from trace_retriever.steps.embed import embed

CONFIG = EmbedConfig(chunk=4, batch_tokens=256)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `dataset` and `model`."""
    root = tmp_path_factory.mktemp("embed")
    write_benchmark(root / "dataset")
    build_model().save(root / "model")
    return root


def run(world: Path, root: Path, config: EmbedConfig = CONFIG, model: str = "model") -> dict[str, object]:
    for name in ("out", "report", "work"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return embed(
        config,
        dataset=world / "dataset",
        model=world / model,
        out=root / "out",
        report=root / "report",
        work=root / "work",
    )


def test_every_candidate_once_and_every_query_with_both_vectors(world: Path, tmp_path: Path) -> None:
    metrics = run(world, tmp_path)
    store, layout = Embeddings.load(tmp_path / "out"), Layout(world / "dataset")
    assert (metrics["candidates"], metrics["queries"]) == (30, 60)
    dids = list(store.candidate_table["did"])
    assert len(set(dids)) == 30
    assert dids == sorted(dids, key=lambda did: tuple(map(int, did.split(":"))))
    assert list(store.query_table["row"]) == list(range(60))
    assert store.about["reasons"] == ["always", "auto", "never"]
    assert (tmp_path / "report" / "report.html").stat().st_size > 1000

    model = load_model(world / "model")
    table, both = store.of(HOP.name, "test")
    asked = [query_item(layout, query, HOP, 0) for query in layout.queries(HOP, "test")]
    for row, vectors, found in zip(
        table.itertuples(), both, encode(model, asked, reason="always"), strict=True
    ):
        np.testing.assert_allclose(vectors, [found.direct, found.reasoned], atol=1e-5)
        assert (row.auto_route, row.trace, row.truncated) == (found.route, found.trace, found.truncated)
        assert row.trace_tokens == found.trace_tokens > 0
    pool = list(layout.pool(HOP, "test"))
    rows = store.rows(candidate.did for candidate in pool)
    expected = [
        one.direct for one in encode(model, [candidate_item(layout, c) for c in pool], reason="never")
    ]
    np.testing.assert_allclose(store.candidates[rows], expected, atol=1e-5)


def test_an_encoder_never_reasons(world: Path, tmp_path: Path) -> None:
    build_model("encoder").save(world / "encoder")
    run(world, tmp_path, model="encoder")
    store = Embeddings.load(tmp_path / "out")
    assert store.about["reasons"] == ["never"]
    assert (store.query_table["trace_tokens"] == 0).all()
    np.testing.assert_array_equal(store.queries[:, 0], store.queries[:, 1])


def test_the_prompt_index_and_the_pairs_are_settings(world: Path, tmp_path: Path) -> None:
    hop = EmbedConfig(pairs=(HOP.name,), splits=("test",), global_pool=False, chunk=64)
    other = hop.model_copy(update={"prompt_index": 3})
    run(world, tmp_path / "one", hop)
    run(world, tmp_path / "two", other)
    one, two = Embeddings.load(tmp_path / "one/out"), Embeddings.load(tmp_path / "two/out")
    assert set(one.query_table["pair"]) == {HOP.name}
    assert len(one.candidate_table) == 10
    assert np.abs(np.asarray(one.queries) - np.asarray(two.queries)).max() > 1e-3
    np.testing.assert_array_equal(one.candidates, two.candidates)


def test_an_unknown_pair_is_named(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no val queries of pair 'cirr_task7'"):
        run(world, tmp_path, EmbedConfig(pairs=("cirr_task7",)))


def test_one_did_with_two_contents_is_refused(world: Path, tmp_path: Path) -> None:
    write_benchmark(tmp_path / "dataset")
    path = next((tmp_path / "dataset/cand_pool/local").glob("*mojihop*"))
    path.write_text(path.read_text().replace("fact about red", "fact about gold"))
    (tmp_path / "model").symlink_to(world / "model")
    with pytest.raises(DataError, match="candidate 14:0 has two contents"):
        run(tmp_path, tmp_path / "run")


def test_a_killed_run_continues_and_ends_with_the_same_bytes(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path / "whole")
    killed = tmp_path / "killed"
    process = multiprocessing.get_context("fork").Process(target=run, args=(world, killed))
    process.start()
    while not list(killed.glob("work/candidates/*.parquet")):
        assert process.is_alive(), "it ended before it could be killed"
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in killed.glob("work/*/*.parquet")}
    assert 0 < len(done) < 8 + 15  # 30 candidates and 60 queries, 4 a chunk
    for leftover in killed.glob("out/*"):
        leftover.unlink()  # the runner gives a rerun an empty directory
    run(world, killed)
    assert digest_tree(killed / "out") == digest_tree(tmp_path / "whole/out")
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in done.items())


def test_a_cut_vector_file_is_noticed(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path, EmbedConfig(pairs=(HOP.name,), splits=("test",), global_pool=False, reason="never"))
    path = tmp_path / "out/candidates.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"not a whole \.npy file"):
        Embeddings.load(tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out/candidates.parquet")
    np.save(path, np.zeros((len(table) - 1, 32), np.float32))
    with pytest.raises(DataError, match="vectors of shape"):
        Embeddings.load(tmp_path / "out")
