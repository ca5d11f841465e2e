"""8. Is the trace used, and does a right one help?"""

import numpy as np
import pandas as pd

from trace_retriever.experiments.answer import Answer
from trace_retriever.experiments.drawings import bars
from trace_retriever.experiments.estimates import difference, judge, mean, points
from trace_retriever.experiments.other_traces import KINDS
from trace_retriever.experiments.tables import Groups, Tables

NAMES = {
    "own": "its own",
    "true": "the true one",
    "other": "another query's",
    "shuffled": "its own, words shuffled",
    "flipped": "its own, one word of the answer changed",
    "empty": "none",
}


def answer(tables: Tables) -> Answer:
    """Other traces in the place of the model's own: what becomes of the rank and of the vector."""
    hits = {kind: _values(tables, kind, "rank") for kind in KINDS}
    cosines = {kind: _values(tables, kind, "cosine") for kind in KINDS}
    lost = {kind: difference(hits[kind], hits["own"]) for kind in KINDS}
    rows = {
        NAMES[kind]: [
            points(mean(hits[kind])),
            points(lost[kind], sign=True),
            float(np.median(np.concatenate([group.ravel() for group in cosines[kind]]))),
        ]
        for kind in KINDS
    }
    columns = ["R@1, %", "against its own, points", "median cosine"]
    swapped, flipped = lost["other"], lost["flipped"]
    return Answer(
        number=8,
        title="Is the trace used?",
        claim="Implied, never tested: the embedding rests on what the trace says.",
        verdict=judge(mean([-group for group in _minus(hits["other"], hits["own"])])),
        finding=f"With another query's trace R@1 changes by {points(swapped, sign=True)} points, with "
        "one word of "
        "the "
        f"answer changed by {points(flipped, sign=True)}; "
        f"the vectors' median cosine is {rows[NAMES['other']][2]:.2f} and {rows[NAMES['flipped']][2]:.2f}.",
        seeds=len(tables.seeds["counterfactual"]),
        paragraphs=[_false_help(tables)],
        tables=[
            (
                "Complex pairs: the trace before the embedding",
                pd.DataFrame.from_dict(rows, "index", columns=columns),
            ),
        ],
        drawings=[
            (
                "R@1 on complex pairs, by the trace that stands before the embedding",
                bars(
                    {NAMES[kind]: [mean([group]) for group in hits[kind]] for kind in KINDS},
                    tables.complex_pairs,
                    "R@1, %",
                ),
            ),
        ],
    )


def _minus(ours: Groups, theirs: Groups) -> Groups:
    return [one - other for one, other in zip(ours, theirs, strict=True)]


def _values(tables: Tables, kind: str, column: str) -> Groups:
    def value(rows: pd.DataFrame) -> pd.Series:
        found = rows.loc[rows["kind"] == kind, column]
        return found <= 1 if column == "rank" else found

    return tables.values("counterfactual", tables.complex_pairs, tables.seeds["counterfactual"], value)


def _false_help(tables: Tables) -> str:
    """Of right traces those that lower the rank, of wrong ones those that raise it."""
    rows = pd.concat([tables.read("trace", seed) for seed in tables.seeds["trace"]])
    rows = rows[rows["pair"].isin(tables.complex_pairs) & rows["reasons"]]
    change = rows["rank_reasoned"] - rows["rank_direct"]
    right, wrong = rows["exact"], ~rows["exact"]
    return (
        f"False help: of {int(right.sum()):,} traces that are true word for word, "
        f"{_rate(change[right] > 0)} give the "
        f"target a worse rank than no trace; of {int(wrong.sum()):,} that are not, "
        f"{_rate(change[wrong] < 0)} give it "
        f"a better one ({_rate(change[wrong] > 0)} a worse one)."
    )


def _rate(flags: "pd.Series[bool]") -> str:
    return f"{flags.mean():.1%}" if len(flags) else "none"
