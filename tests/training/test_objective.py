from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from trace_retriever.config.train import LossParams, SamplingParams, TrainConfig, TrainValidation
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.batch import Row, collate
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.model.forward import hidden_states, logits
from trace_retriever.training.batches import StepBatch, step_batch
from trace_retriever.training.data import (
    Corpus,
    CorpusReader,
    Sample,
    candidate,
    make_sample,
    read_routes,
    read_traces,
)
from trace_retriever.training.objective import TraceObjective, info_nce, known
from trace_retriever.training.worker import make_sampler


@pytest.fixture(scope="module")
def model(world: Path) -> TraceModel:
    return load_model(world / "backbone")


@pytest.fixture(scope="module")
def corpus(world: Path, model: TraceModel) -> Corpus:
    routes, traces = read_routes(world / "routes", "train"), read_traces(world / "kept")
    return CorpusReader(model, Layout(world / "dataset"), routes, traces).read()


@pytest.fixture(scope="module")
def samples(corpus: Corpus) -> list[Sample]:
    sampling = SamplingParams(hard_negatives=1)
    config = TrainConfig(batch=12, steps=4, sampling=sampling, validation=TrainValidation(every=0))
    return [
        make_sample(corpus, draw, sampling, reasons=True) for draw in make_sampler(corpus, config).draw(1)
    ]


def batch(
    model: TraceModel, corpus: Corpus, samples: list[Sample], parts: int = 3, by_length: bool = True
) -> StepBatch:
    return step_batch(model, corpus, samples, parts=parts, by_length=by_length, generates=True, direct=True)


def test_loss_is_ce_plus_info_nce_computed_row_by_row(
    model: TraceModel, corpus: Corpus, samples: list[Sample]
) -> None:
    """No padding, no chunks, no masks: one forward a row, and the formulas spelled out."""
    objective = TraceObjective(
        model.network, LossParams(lambda_gen=0.5, lambda_ret=2.0, direct_weight=0.0), generates=True
    )
    with torch.no_grad():
        loss, figures = objective(batch(model, corpus, samples))
        nll, queries = [], []
        for sample in samples:
            states = hidden_states(model.network, collate(model, [Row(sample.item, sample.trace_ids)]))[0]
            labels = [*sample.trace_ids, model.emb_id]
            predicted = logits(model.network, states[-len(labels) :]).log_softmax(-1)
            nll += [-predicted[at, label] for at, label in enumerate(labels)]
            queries.append(F.normalize(states[-1], dim=0))
        dids = [sample.targets[0] for sample in samples] + [did for s in samples for did in s.targets[1:]]
        vectors = {
            did: hidden_states(model.network, collate(model, [Row(candidate(corpus, did))]))[0, -1]
            for did in dids
        }
        terms = []
        for sample, query in zip(samples, queries, strict=True):
            scores = {
                (did, at): query @ F.normalize(vectors[did], dim=0) / 0.05
                for at, did in enumerate(dids)
                if corpus.identity(did) not in map(corpus.identity, sample.positives)
            }
            own = query @ F.normalize(vectors[sample.targets[0]], dim=0) / 0.05
            terms.append(torch.logsumexp(torch.stack([own, *scores.values()]), 0) - own)
    ce, nce = torch.stack(nll).mean(), torch.stack(terms).mean()
    assert any(sample.trace_ids for sample in samples)
    assert any(not sample.trace_ids for sample in samples)
    torch.testing.assert_close(figures["ce"], ce, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(figures["info_nce"], nce, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss, 0.5 * ce + 2.0 * nce, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("parts", "by_length"), [(1, True), (7, True), (4, False), (40, False)])
def test_loss_does_not_depend_on_the_chunks(
    model: TraceModel, corpus: Corpus, samples: list[Sample], parts: int, by_length: bool
) -> None:
    objective = TraceObjective(model.network, LossParams(direct_weight=0.3), generates=True)
    with torch.no_grad():
        whole, _ = objective(batch(model, corpus, samples))
        found, _ = objective(batch(model, corpus, samples, parts, by_length))
    torch.testing.assert_close(found, whole, rtol=1e-5, atol=1e-5)


def test_known_positives_and_copies_of_the_target_are_hidden() -> None:
    ids = torch.tensor([10, 11, 10, 12, 13])
    positives = torch.tensor([[10, 12], [99, -1]])  # the second query's target is not in its own list
    hidden = known(positives, ids, torch.tensor([0, 1]))
    assert hidden.tolist() == [[False, False, True, True, False], [False, False, False, False, False]]


def test_hidden_candidates_do_not_count_and_get_no_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, candidates = (F.normalize(torch.randn(n, 8, generator=generator), dim=1) for n in (2, 4))
    candidates.requires_grad_()
    hidden = torch.tensor([[False, False, True, True], [False, False, True, True]])
    loss = info_nce(queries, candidates, torch.tensor([0, 1]), hidden, torch.tensor(20.0))
    expected = F.cross_entropy(20.0 * queries @ candidates[:2].T, torch.tensor([0, 1]), reduction="sum")
    torch.testing.assert_close(loss, expected)
    loss.backward()  # type: ignore[no-untyped-call]
    assert candidates.grad is not None
    assert candidates.grad[2:].abs().max() == 0 < candidates.grad[:2].abs().max()


def test_an_encoder_has_info_nce_alone(model: TraceModel, corpus: Corpus, samples: list[Sample]) -> None:
    objective = TraceObjective(model.network, LossParams(direct_weight=0.5), generates=False)
    with torch.no_grad():
        loss, figures = objective(batch(model, corpus, samples))
    assert figures["ce"] == 0
    assert loss == figures["info_nce"]


def test_the_direct_loss_reads_the_prompt_of_complex_queries_only(
    model: TraceModel, corpus: Corpus, samples: list[Sample]
) -> None:
    objective = TraceObjective(
        model.network, LossParams(lambda_gen=0, lambda_ret=0, direct_weight=1.0), generates=True
    )
    plain = [s for s in samples if s.complex]
    bare = [Sample(s.item, (), s.complex, s.positives, s.targets) for s in plain]
    with torch.no_grad():
        direct, _ = objective(batch(model, corpus, plain, 1))
        _, figures = objective(
            batch(model, corpus, bare, 1)
        )  # without traces both losses read the prompt's end
        none, _ = objective(batch(model, corpus, [s for s in samples if not s.complex], 1))
    torch.testing.assert_close(direct, figures["info_nce"], rtol=1e-5, atol=1e-5)
    assert none == 0


def test_a_learned_temperature_stays_in_its_bounds(model: TraceModel) -> None:
    objective = TraceObjective(model.network, LossParams(learn_temperature=True), generates=True)
    assert objective.scale().item() == pytest.approx(20)
    assert objective.log_scale is not None
    with torch.no_grad():
        objective.log_scale.fill_(50.0)
    assert objective.scale().item() == pytest.approx(100)
