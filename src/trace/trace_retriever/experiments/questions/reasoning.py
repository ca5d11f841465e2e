"""1. Does it pay to reason, and to choose when?"""

from typing import TYPE_CHECKING

import pandas as pd

from trace_retriever.evaluation.significance import Interval
from trace_retriever.experiments.answer import Answer
from trace_retriever.experiments.drawings import bars
from trace_retriever.experiments.estimates import gain, judge, points, recall
from trace_retriever.experiments.tables import Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS = {"adaptive": "auto", "always": "always", "never": "never", "oracle route": "oracle"}


def answer(tables: Tables) -> Answer:
    """Adaptive against always, never, the true route, and an encoder trained alike without traces."""
    groups = {"complex": tables.complex_pairs, "simple": tables.simple_pairs}
    found = {
        (way, route, k): _recall(tables, way, pairs, k)
        for way in (*WAYS, "encoder-only")
        for route, pairs in groups.items()
        for k in (1, 5)
    }
    better = gain(tables, "trace", "encoder", tables.complex_pairs)
    harm = gain(tables, "trace", "trace", tables.simple_pairs, other="always")
    simple = gain(tables, "trace", "encoder", tables.simple_pairs)
    return Answer(
        number=1,
        title="Reason or not",
        claim="Reasoning first helps complex queries, hurts simple ones, and adaptive routing gets both.",
        verdict=judge(better),
        finding=f"Adaptive against an encoder trained alike: {points(better, sign=True)} points of R@1 on "
        "complex "
        f"pairs, {points(simple, sign=True)} on simple ones; against always reasoning "
        f"{points(harm, sign=True)} "
        "on simple ones.",
        seeds=len(tables.seeds["trace"]),
        paragraphs=[
            "The encoder-only baseline is a training of its own (InfoNCE alone, the same queries "
            "and updates), "
            "not the same model with its reasoning switched off (`never`). Always reasoning on a "
            "simple query "
            "asks for something that training never showed, so that its loss says little about reasoning.",
        ],
        tables=[("R@1 and R@5 in per cent, 95 % interval over seeds and queries", _frame(found))],
        drawings=[("R@1 of each way of using the model", _drawing(found))],
    )


def _recall(tables: Tables, way: str, pairs: list[str], k: int) -> Interval:
    if way == "encoder-only":
        return recall(tables, "encoder", pairs, k=k)
    return recall(tables, "trace", pairs, k=k, system=WAYS[way])


def _frame(found: dict[tuple[str, str, int], Interval]) -> pd.DataFrame:
    ways = list(dict.fromkeys(way for way, _, _ in found))
    columns = [(route, k) for route in ("complex", "simple") for k in (1, 5)]
    rows = [[points(found[way, route, k]) for route, k in columns] for way in ways]
    return pd.DataFrame(rows, index=ways, columns=[f"{route} R@{k}" for route, k in columns])


def _drawing(found: dict[tuple[str, str, int], Interval]) -> "Figure":
    ways = list(dict.fromkeys(way for way, _, _ in found))
    values = {way: [found[way, route, 1] for route in ("complex", "simple")] for way in ways}
    return bars(values, ["complex pairs", "simple pairs"], "R@1, %")
