from pathlib import Path

import pytest
from PIL import Image
from tests.evaluation.colours import EDIT, HOP, NAMES, build_model, write_benchmark

from trace_retriever.config.embed import EmbedConfig
from trace_retriever.config.evaluate import EvaluateConfig
from trace_retriever.evaluation.samples import PIXELS, RESULTS, Sample, choose
from trace_retriever.io.files import digest_tree, read_json
from trace_retriever.io.jsonl import read_jsonl
from trace_retriever.mbeir.layout import Layout
from trace_retriever.steps.embed import embed
from trace_retriever.steps.evaluate import evaluate
from trace_retriever.store.embeddings import Embeddings


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("samples")
    write_benchmark(root / "dataset")
    build_model().save(root / "model")
    folders = {name: root / name for name in ("embeddings", "report", "work")}
    for folder in folders.values():
        folder.mkdir()
    embed(
        EmbedConfig(), dataset=root / "dataset", model=root / "model", out=folders["embeddings"],
        report=folders["report"], work=folders["work"],
    )  # fmt: skip
    return root


def evaluated(world: Path, root: Path) -> Path:
    for name in ("out", "report", "work"):
        (root / name).mkdir()
    evaluate(
        EvaluateConfig(resamples=100, depth=50, examples=0),
        dataset=world / "dataset",
        embeddings=world / "embeddings",
        baseline=None,
        out=root / "out",
        report=root / "report",
        work=root / "work",
    )
    return root / "out"


@pytest.fixture(scope="module")
def out(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluated(world, tmp_path_factory.mktemp("out"))


def test_a_sample_holds_what_was_asked_written_and_found(world: Path, out: Path) -> None:
    samples = {sample.qid: sample for sample in read_jsonl(out / "samples/samples.jsonl", Sample)}
    layout = Layout(world / "dataset")
    queries = [query for pair in layout.pairs("test") for query in layout.queries(pair, "test")]
    assert set(samples) == {query.qid for query in queries}
    table = Embeddings.load(world / "embeddings").query_table.set_index("qid")
    for query in queries:
        sample = samples[query.qid]
        assert sample.query.text == query.query_txt
        assert sample.positives == query.pos_cand_list
        assert sample.trace == table.loc[query.qid, "trace"]
        assert set(sample.rankings) == {"auto", "never", "always", "budget"}
        assert all(len(places) == RESULTS for places in sample.rankings.values())
        shown = {place.did for places in sample.rankings.values() for place in places}
        assert shown <= set(sample.candidates) <= shown | set(query.pos_cand_list)
    assert any(sample.true_trace == "step : target : gold" for sample in samples.values())


def test_pictures_are_small_copies_each_written_once(out: Path) -> None:
    samples = list(read_jsonl(out / "samples/samples.jsonl", Sample))
    asked = [sample.query.picture for sample in samples if sample.pair == EDIT.name]
    assert None not in asked
    written = {path.name for path in (out / "samples/pictures").iterdir()}
    assert set(asked) <= written
    assert len(written) == len(NAMES)
    for name in written:
        with Image.open(out / "samples/pictures" / name) as image:
            assert max(image.size) <= PIXELS
    assert all(sample.query.picture is None for sample in samples if sample.pair == HOP.name)


def test_the_results_name_the_samples_and_another_run_gives_the_same_bytes(
    world: Path, out: Path, tmp_path: Path
) -> None:
    assert read_json(out / "results.json")["samples"] == digest_tree(out / "samples")
    assert digest_tree(evaluated(world, tmp_path) / "samples") == digest_tree(out / "samples")


def test_the_draw_does_not_depend_on_the_order(world: Path) -> None:
    queries = list(Layout(world / "dataset").queries(HOP, "test"))
    chosen = choose(queries, 4)
    assert choose(queries[::-1], 4) == chosen
    assert len({query.qid for query in chosen}) == 4
