"""Ways of training that only experiments use: parts of a trace, other positions, candidates that write."""

import json
from pathlib import Path
from typing import get_args

import pytest
import torch
from pydantic import ValidationError

from trace_retriever.config import train as train_params
from trace_retriever.config.train import Position, SamplingParams, TrainConfig
from trace_retriever.errors import CheckpointError, DataError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model import settings
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.model.settings import Settings
from trace_retriever.training.data import (
    Corpus,
    CorpusReader,
    is_among,
    make_sample,
    read_candidate_traces,
    read_routes,
    read_traces,
)
from trace_retriever.training.distributed import join
from trace_retriever.training.sampling import Draw
from trace_retriever.training.worker import Job, make_batch, make_sampler, prepare, read_corpus


@pytest.fixture(scope="module")
def model(world: Path) -> TraceModel:
    return load_model(world / "backbone")


def read(world: Path, model: TraceModel, **options: object) -> Corpus:
    routes, traces = read_routes(world / "routes", "train"), read_traces(world / "kept")
    return CorpusReader(model, Layout(world / "dataset"), routes, traces, **options).read()  # type: ignore[arg-type]


def config(**changes: object) -> TrainConfig:
    base = {
        "batch": 8,
        "steps": 2,
        "processes": 1,
        "validation": {"every": 0},
        "loss": {"direct_weight": 0.0},
    }
    return TrainConfig.model_validate({**base, **changes})


def job(world: Path, tmp_path: Path, settings: TrainConfig, kept: Path | None = None) -> Job:
    places = {name: world / name for name in ("dataset", "routes", "backbone")}
    spare = {name: tmp_path / name for name in ("out", "curves", "work")}
    return Job(config=settings, kept=kept or world / "kept", **places, **spare)


def test_the_parts_of_a_trace_add_up(world: Path, model: TraceModel) -> None:
    parts = {
        part: [list(one.trace_ids) for one in read(world, model, part=part).examples]
        for part in ("full", "reasoning", "answer", "none")
    }
    assert any(parts["reasoning"])
    assert any(parts["answer"])
    assert parts["full"] == [a + b for a, b in zip(parts["reasoning"], parts["answer"], strict=True)]
    assert not any(parts["none"])


def test_a_smaller_share_of_the_queries_is_part_of_a_larger() -> None:
    qids = [f"10:{number}" for number in range(2000)]
    half, quarter = ({qid for qid in qids if is_among(qid, share)} for share in (0.5, 0.25))
    assert quarter < half
    assert 850 < len(half) < 1150
    assert all(is_among(qid, 1.0) for qid in qids)


def test_spared_instructions_are_never_drawn(world: Path, model: TraceModel) -> None:
    corpus = read(world, model)
    last = corpus.layout.instructions.of(corpus.examples[0].pair)[-1]

    def texts(spared: int) -> set[str]:
        sampling = SamplingParams(spared_prompts=spared)
        drawn = (make_sample(corpus, Draw(0, seed), sampling, reasons=True) for seed in range(60))
        return {sample.item.text or "" for sample in drawn}

    assert any(last in text.casefold() for text in texts(0))
    assert not any(last in text.casefold() for text in texts(1))


def test_an_encoder_can_be_given_the_trace_as_words(world: Path, model: TraceModel) -> None:
    corpus = read(world, model)
    index = next(at for at, one in enumerate(corpus.examples) if one.trace)
    sampling = SamplingParams()
    plain, told = (
        make_sample(corpus, Draw(index, 1), sampling, reasons=False, as_text=flag) for flag in (False, True)
    )
    assert told.item.text == f"{plain.item.text} {corpus.examples[index].trace}"
    assert told.trace_ids == ()


@pytest.mark.parametrize("position", ["before_emb", "emb", "structure", "mean_trace", "mean_all"])
def test_every_position_trains(world: Path, tmp_path: Path, position: Position) -> None:
    settings = config(position=position)
    group = join()
    model, objective = prepare(job(world, tmp_path, settings), group)
    corpus = read(world, model)
    batch = make_batch(model, corpus, make_sampler(corpus, settings), settings, group, 0)
    ends = {int(row[length - 1]) for chunk in batch.chunks for row, length in _rows(chunk.batch)}
    assert (model.emb_id in ends) == (position == "emb")
    loss, _ = objective(batch)
    loss.backward()
    assert torch.isfinite(loss)


def _rows(batch: dict[str, torch.Tensor]) -> list[tuple[torch.Tensor, int]]:
    return list(zip(batch["input_ids"], batch["lengths"].tolist(), strict=True))


def test_candidates_that_write_have_labels_of_their_own(world: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "kept.jsonl").write_bytes((world / "kept/kept.jsonl").read_bytes())
    dids = sorted(read(world, load_model(world / "backbone")).candidates)
    lines = [{"did": did, "reasoning": "step : red ;", "answer": "target : red"} for did in dids]
    (kept / "candidates.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = config(candidates="answer")
    work = job(world, tmp_path, settings, kept)
    model, _ = prepare(work, join())
    corpus = read_corpus(work, model, Layout(world / "dataset"))
    batch = make_batch(model, corpus, make_sampler(corpus, settings), settings, join(), 0)
    raw = make_batch(model, read(world, model), make_sampler(corpus, settings), config(), join(), 0)
    assert batch.labels == raw.labels + 8 * (len(model.prompter.words("target : red")) + 1)


def test_candidates_cannot_write_what_nobody_wrote(tmp_path: Path) -> None:
    assert read_candidate_traces(tmp_path, "raw") == {}
    with pytest.raises(DataError, match=r"(?s)candidates\.jsonl.*set train\.candidates to raw"):
        read_candidate_traces(tmp_path, "full")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"position": "emb", "loss": {"direct_weight": 0.1}}, "needs loss.direct_weight: 0"),
        ({"trace_as_text": True}, "is for variant: encoder"),
        ({"variant": "encoder", "candidates": "full"}, "needs variant: trace"),
        ({"position": "emb", "validation": {"every": 1}}, "need validation.every: 0"),
    ],
)
def test_ablations_that_make_no_sense_are_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        config(**changes)


def test_an_ablation_is_not_served(world: Path, tmp_path: Path) -> None:
    model = load_model(world / "backbone")
    model.settings = model.settings.model_copy(update={"position": "mean_all"})
    model.save(tmp_path / "model")
    with pytest.raises(CheckpointError, match=r"(?s)position: mean_all.*train\.position: before_emb"):
        load_model(tmp_path / "model")
    assert load_model(tmp_path / "model", ablation=True).settings.position == "mean_all"


def test_params_and_settings_know_the_same_ablations() -> None:
    for name in ("Position", "CandidateSide"):
        assert get_args(getattr(train_params, name)) == get_args(getattr(settings, name))


def test_settings_say_nothing_of_ablations_where_there_are_none(tmp_path: Path) -> None:
    Settings().save(tmp_path)
    assert not {"position", "candidates", "route"} & set(json.loads((tmp_path / "trace.json").read_text()))
