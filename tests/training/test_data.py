import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trace_retriever.config.train import SamplingParams
from trace_retriever.errors import DataError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.training.data import Corpus, CorpusReader, make_sample, read_routes, read_traces
from trace_retriever.training.sampling import Draw


@pytest.fixture(scope="module")
def model(world: Path) -> TraceModel:
    return load_model(world / "backbone")


@pytest.fixture
def copy(world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world, tmp_path / "copy"))


def read(root: Path, model: TraceModel) -> Corpus:
    reader = CorpusReader(
        model, Layout(root / "dataset"), read_routes(root / "routes", "train"), read_traces(root / "kept")
    )
    return reader.read()


def test_everything_trains_when_nothing_is_missing(world: Path, model: TraceModel) -> None:
    corpus = read(world, model)
    assert corpus.dropped == {}
    assert len(corpus.examples) == 64
    assert all(bool(len(example.trace_ids)) == example.complex for example in corpus.examples)
    assert {stratum.name: len(stratum.members) for stratum in corpus.strata()} == {
        "mojicap_task0/simple": 16,
        "mojifact_task1/simple": 16,
        "mojihop_task1/complex": 16,
        "mojiedit_task7/complex": 16,
    }


def test_every_query_left_out_is_counted_with_its_reason(copy: Path, model: TraceModel) -> None:
    kept = [json.loads(line) for line in (copy / "kept/kept.jsonl").read_text().splitlines()]
    kept[1]["reasoning"] += " step : red ;" * 5
    (copy / "kept/kept.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept[1:]))
    routes = pd.read_parquet(copy / "routes/routes.parquet")
    routes[routes["qid"] != "10:3"].to_parquet(copy / "routes/routes.parquet")
    pool = copy / "dataset/cand_pool/global/mbeir_union_train_cand_pool.jsonl"
    pool.write_text("".join(line for line in pool.read_text().splitlines(True) if '"13:2"' not in line))
    corpus = read(copy, model)
    assert corpus.dropped == {
        "complex without a kept trace": 1,
        "no positive in the train pool": 2,
        "not routed": 1,
        "trace too long for the model": 1,
    }
    assert len(corpus.examples) == 64 - 5
    assert all(len(example.trace_ids) for example in corpus.examples if example.complex)


def test_a_sample_follows_from_its_draw(world: Path, model: TraceModel) -> None:
    corpus = read(world, model)
    index = next(at for at, example in enumerate(corpus.examples) if example.complex)
    sampling = SamplingParams(hard_negatives=1)
    samples = [make_sample(corpus, Draw(index, seed), sampling, reasons=True) for seed in range(40)]
    assert samples == [make_sample(corpus, Draw(index, seed), sampling, reasons=True) for seed in range(40)]
    assert len({sample.item.text for sample in samples}) == 4  # each of the pair's prompts
    example = corpus.examples[index]
    assert {sample.targets for sample in samples} == {(example.positives[0], example.negatives[0])}
    assert np.array_equal(samples[0].trace_ids, example.trace_ids)
    assert make_sample(corpus, Draw(index, 0), sampling, reasons=False).trace_ids == ()


def test_routes_that_are_missing_or_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found"):
        read_routes(tmp_path, "train")
    (tmp_path / "routes.parquet").write_text("qid,route")
    with pytest.raises(DataError, match="not a routes table"):
        read_routes(tmp_path, "train")
