"""Before any traffic: does a served version answer as its own model does, alone and under a little load?"""

from collections.abc import Sequence
from typing import Any

from trace_retriever.config.rollout import SmokeRules
from trace_retriever.rollout.errors import RolledBack
from trace_retriever.rollout.load import Load, Shape, run_load
from trace_retriever.rollout.references import Reference


def check_smoke(address: str, model: str, queries: Sequence[Reference], rules: SmokeRules) -> dict[str, Any]:
    """Ask each reference query once, then all of them under load.

    Args:
        address: of the version itself, not of the split.
        model: its name on the wire.
        queries: with the embeddings that are expected.
        rules: how much may differ, and how much load.

    Returns:
        Figures of both.

    Raises:
        RolledBack: an answer is missing, differs, or too many were refused; names the first reasons.
    """
    single = Load()
    for query in queries:
        one = run_load(address, model, [query], _shape(rules, 1, rate=1000.0))
        single = _add(single, one)
    _need(single, "reference queries", refused=0.0)
    load = run_load(address, model, queries, _shape(rules, rules.requests, rules.rate))
    _need(load, "the load check", rules.max_refused)
    return {"references": single.figures(), "load": load.figures()}


def _shape(rules: SmokeRules, count: int, rate: float) -> Shape:
    return Shape(rate, count, rules.seed, rules.timeout_seconds, rules.tolerance)


def _add(one: Load, other: Load) -> Load:
    return Load(
        one.ok + other.ok,
        one.refused + other.refused,
        one.failed + other.failed,
        one.wrong + other.wrong,
        max(one.worst, other.worst),
        one.seconds + other.seconds,
        one.reasons + other.reasons,
    )


def _need(load: Load, what: str, refused: float) -> None:
    if load.failed or load.wrong or load.refused > refused * load.sent:
        counts = f"{load.wrong} wrong, {load.failed} failed, {load.refused} refused of {load.sent}"
        why = f": {'; '.join(load.reasons)}" if load.reasons else ""
        raise RolledBack(f"{what}: {counts}{why}")
