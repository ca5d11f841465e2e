import multiprocessing
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from tests.evaluation.colours import HOP, build_model, write_benchmark

from trace_retriever.config.embed import EmbedConfig
from trace_retriever.engine.encode import encode
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.io.files import digest_tree
from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.bundle import load_model
from trace_retriever.runner import run_step
from trace_retriever.steps.embed import embed
from trace_retriever.store.embeddings import Embeddings

SPAWN = multiprocessing.get_context("spawn")
CONFIG = EmbedConfig(chunk=4, shard_rows=16, batch_tokens=256)
HALF = 5e-4  # what rounding to float16 changes at most in an entry of a unit vector


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `dataset` and `model`."""
    root = tmp_path_factory.mktemp("embed")
    write_benchmark(root / "dataset")
    build_model().save(root / "model")
    return root


def run(
    world: Path, root: Path, config: EmbedConfig = CONFIG, model: str = "model", previous: Path | None = None
) -> dict[str, object]:
    for name in ("out", "report", "work"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return embed(
        config,
        dataset=world / "dataset",
        model=world / model,
        previous=previous,
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
        np.testing.assert_allclose(vectors, [found.direct, found.reasoned], atol=HALF)
        assert (row.auto_route, row.trace, row.truncated) == (found.route, found.trace, found.truncated)
        assert (row.trace_tokens, row.fallback) == (found.trace_tokens, found.fallback)
        assert found.trace_tokens > 0 or found.fallback == "garbage"
    pool = list(layout.pool(HOP, "test"))
    rows = store.rows(candidate.did for candidate in pool)
    expected = [
        one.direct for one in encode(model, [candidate_item(layout, c) for c in pool], reason="never")
    ]
    np.testing.assert_allclose(store.candidates[rows], expected, atol=HALF)


def test_an_encoder_never_reasons(world: Path, tmp_path: Path) -> None:
    build_model("encoder").save(world / "encoder")
    run(world, tmp_path, model="encoder")
    store = Embeddings.load(tmp_path / "out")
    assert store.about["reasons"] == ["never"]
    assert (store.query_table["trace_tokens"] == 0).all()
    both = store.queries[:]
    np.testing.assert_array_equal(both[:, 0], both[:, 1])


def test_the_prompt_index_and_the_pairs_are_settings(world: Path, tmp_path: Path) -> None:
    hop = EmbedConfig(pairs=(HOP.name,), splits=("test",), global_pool=False, chunk=64)
    other = hop.model_copy(update={"prompt_index": 3})
    run(world, tmp_path / "one", hop)
    run(world, tmp_path / "two", other)
    one, two = Embeddings.load(tmp_path / "one/out"), Embeddings.load(tmp_path / "two/out")
    assert set(one.query_table["pair"]) == {HOP.name}
    assert len(one.candidate_table) == 10
    assert np.abs(one.queries[:] - two.queries[:]).max() > 1e-3
    np.testing.assert_array_equal(one.candidates[:], two.candidates[:])


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


@pytest.mark.slow
def test_a_killed_run_continues_and_ends_with_the_same_bytes(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path / "whole")
    killed = tmp_path / "killed"
    process = SPAWN.Process(target=run, args=(world, killed))
    process.start()
    while not list(killed.glob("work/candidates/00000.*.parquet")):
        assert process.is_alive(), "it ended before it could be killed"
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    shutil.rmtree(killed / "out")  # the runner gives a rerun an empty directory
    run(world, killed)
    assert digest_tree(killed / "out") == digest_tree(tmp_path / "whole/out")


def test_a_cut_vector_file_and_a_short_table_are_noticed(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path, EmbedConfig(pairs=(HOP.name,), splits=("test",), global_pool=False, reason="never"))
    vectors, table = (tmp_path / f"out/candidates/00000.{kind}" for kind in ("npy", "parquet"))
    content = vectors.read_bytes()
    vectors.write_bytes(content[:-4])
    with pytest.raises(DataError, match=r"not a whole \.npy file"):
        Embeddings.load(tmp_path / "out")
    vectors.write_bytes(content)
    pd.read_parquet(table)[:-1].to_parquet(table)
    with pytest.raises(DataError, match="a table of 9 rows for 10 vectors"):
        Embeddings.load(tmp_path / "out")


def test_vectors_are_float16_unless_asked_otherwise(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path / "half")
    run(world, tmp_path / "full", CONFIG.model_copy(update={"store_dtype": "float32"}))
    half, full = Embeddings.load(tmp_path / "half/out"), Embeddings.load(tmp_path / "full/out")
    assert half.candidates.dtype.name == "float16"
    assert full.queries.dtype.name == "float32"
    np.testing.assert_array_equal(half.candidates[:], full.candidates[:].astype(np.float16))
    np.testing.assert_array_equal(half.queries[:], full.queries[:].astype(np.float16))


def test_parts_are_put_together_without_the_model_being_read(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path / "whole")
    for number in range(2):
        run(world, tmp_path / "parts" / str(number), CONFIG.model_copy(update={"part": f"{number}/2"}))
        (tmp_path / "parts" / str(number) / "out").rename(tmp_path / "parts" / f"{number}.out")
        shutil.rmtree(tmp_path / "parts" / str(number))
    metrics = run(world, tmp_path / "all", previous=tmp_path / "parts")
    assert (metrics["reused_candidates"], metrics["reused_queries"]) == (30, 60)
    assert digest_tree(tmp_path / "all/out") == digest_tree(tmp_path / "whole/out")


@pytest.mark.parametrize("part", ["4/4", "1", "-1/2", "0/0"])
def test_a_part_that_is_none_is_refused(part: str) -> None:
    with pytest.raises(ValidationError):
        EmbedConfig(part=part)


def embed_by_runner(world: Path, root: Path) -> None:
    """As `trace embed` does; in a process of its own."""
    run_step(
        "embed",
        CONFIG,
        inputs={"dataset": world / "dataset", "model": world / "model"},
        out=root / "out",
        report=root / "report",
        work_root=root / "work",
    )


@pytest.mark.slow
def test_two_commands_at_one_time_share_the_work(world: Path, tmp_path: Path) -> None:
    run(world, tmp_path / "whole")
    processes = [SPAWN.Process(target=embed_by_runner, args=(world, tmp_path)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert digest_tree(tmp_path / "out") == digest_tree(tmp_path / "whole/out")
    assert list((tmp_path / "work").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "report", "whole", "work"]
