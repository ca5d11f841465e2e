"""7. Would a separate encoder do as well with the same trace?"""

import pandas as pd

from trace_retriever.experiments.answer import Answer
from trace_retriever.experiments.estimates import difference, judge, mean, points, recall
from trace_retriever.experiments.tables import Groups, Tables

ENCODERS = {
    "encoder that never saw traces": "encoder",
    "encoder trained on traces as text": "encoder-on-traces",
}


def answer(tables: Tables) -> Answer:
    """The trace that TRACE wrote, as words for two encoders, against TRACE's own embedding."""
    seeds, pairs = tables.seeds["two-stage"], tables.complex_pairs
    own = tables.hits("trace", pairs, k=1, seeds=seeds)
    gaps, rows = {}, {"TRACE itself": [points(mean(own)), "", points(recall(tables, "trace", pairs, k=5))]}
    for title, name in ENCODERS.items():
        found = _hits(tables, f"rank_{name}", k=1)
        gaps[title] = difference(found, own)
        five = mean(_hits(tables, f"rank_{name}", k=5))
        rows[title] = [points(mean(found)), points(gaps[title], sign=True), points(five)]
        rows[f"{title}, given the true trace"] = [points(mean(_hits(tables, f"gold_{name}", k=1))), "", ""]
    plain, trained = gaps.values()
    return Answer(
        number=7,
        title="One model or two",
        claim="A trace given to a separate encoder collapses; one model must do both.",
        verdict=_verdict(judge(plain), judge(trained)),
        finding=f"Against TRACE's own embedding, R@1 on complex pairs: {points(plain, sign=True)} "
        "points for an "
        "encoder "
        f"that never saw traces, {points(trained, sign=True)} for one trained on them.",
        seeds=len(seeds),
        paragraphs=[
            "Both encoders get the query's words with the trace after them, the trace being "
            "TRACE's own with the same "
            "seed. The second was trained on the teacher's (true, filtered) traces. It costs two "
            "models and a second "
            "pass over prompt and trace.",
        ],
        tables=[
            ("Complex pairs, in per cent", pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS))
        ],
    )


COLUMNS = ["R@1", "against TRACE", "R@5"]


def _hits(tables: Tables, column: str, *, k: int) -> Groups:
    return tables.values(
        "two-stage", tables.complex_pairs, tables.seeds["two-stage"], lambda rows: rows[column] <= k
    )


def _verdict(plain: str, trained: str) -> str:
    if plain == "reversed" and trained == "reversed":
        return "held"
    return "held only for an encoder that never saw traces" if plain == "reversed" else plain
