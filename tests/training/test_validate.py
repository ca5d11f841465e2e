from pathlib import Path

import numpy as np
import pytest
import torch

from trace_retriever.config.train import TrainValidation
from trace_retriever.engine.encode import encode
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.training.data import read_routes
from trace_retriever.training.distributed import Group
from trace_retriever.training.validate import Probe, first_ranks, read_probes, validate

PARAMS = TrainValidation(queries=4, candidates=6)
ALONE = Group(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def model(world: Path) -> TraceModel:
    return load_model(world / "backbone")


@pytest.fixture(scope="module")
def probes(world: Path) -> list[Probe]:
    return read_probes(Layout(world / "dataset"), PARAMS, seed=1)


def test_probes_are_seeded_and_hold_every_positive(world: Path, probes: list[Probe]) -> None:
    assert probes == read_probes(Layout(world / "dataset"), PARAMS, seed=1)
    assert probes != read_probes(Layout(world / "dataset"), PARAMS, seed=2)
    for probe in probes:
        assert len(probe.queries) == 4
        assert len(probe.dids) == len(set(probe.dids)) == 6
        assert {query.pos_cand_list[0] for query in probe.queries} <= set(probe.dids)


def test_ranks_count_ties_against_the_query(probes: list[Probe]) -> None:
    probe = probes[0]
    scores = np.zeros((4, 6))
    at = [probe.dids.index(query.pos_cand_list[0]) for query in probe.queries]
    scores[0, at[0]] = 1.0
    scores[1, at[1]] = -1.0
    scores[2] = np.linspace(0, 1, 6)
    expected = [1, 6, 1 + sum(scores[2] > scores[2, at[2]]), 6]
    assert first_ranks(scores, probe).tolist() == expected


def test_figures_equal_a_plain_computation(world: Path, model: TraceModel, probes: list[Probe]) -> None:
    routes = read_routes(world / "routes", "val")
    figures = validate(model, probes, routes, PARAMS, ALONE, "trace")
    hits, right = [], []
    for probe in probes:
        found = list(encode(model, probe.query_items, reason="auto"))
        pool = np.stack([one.direct for one in encode(model, probe.candidate_items, reason="never")])
        order = [np.argsort(-(pool @ one.vector("auto"))) for one in found]
        top = [{probe.dids[at] for at in ranked[:5]} for ranked in order]
        hits.append(np.mean([q.pos_cand_list[0] in best for q, best in zip(probe.queries, top, strict=True)]))
        right += [
            routes[probe.pair.name, q.qid] == one.route for q, one in zip(probe.queries, found, strict=True)
        ]
    assert figures["hit"] == pytest.approx(np.mean(hits))
    assert figures["routing"] == pytest.approx(np.mean(right))
    assert figures["score"] == pytest.approx(figures["hit"] + figures["mrr"] / 1000)
    assert "routing" not in validate(model, probes, routes, PARAMS, ALONE, "encoder")
