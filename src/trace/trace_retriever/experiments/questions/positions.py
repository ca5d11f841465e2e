"""5. Where is the embedding read best?"""

import pandas as pd

from trace_retriever.experiments.answer import Answer
from trace_retriever.experiments.drawings import forest
from trace_retriever.experiments.estimates import gain, judge, points, recall
from trace_retriever.experiments.tables import Tables

OTHERS = {
    "at <|emb|>": "position-emb",
    "at the last sign that opens a part": "position-structure",
    "mean of the trace": "position-mean-trace",
    "mean of prompt and trace": "position-mean-all",
}


def answer(tables: Tables) -> Answer:
    """Five places, each trained for; all without the small direct loss, which reads the pre-token state."""
    pairs = tables.complex_pairs
    gaps = {name: gain(tables, variant, "position-before", pairs) for name, variant in OTHERS.items()}
    verdicts = {name: judge(found) for name, found in gaps.items()}
    behind = [name for name, verdict in verdicts.items() if verdict == "reversed"]
    return Answer(
        number=5,
        title="Where the embedding is read",
        claim="The state before <|emb|> is best: 4 points of R@1 above <|emb|> itself and a structural tag.",
        verdict="held"
        if len(behind) == len(gaps)
        else f"clearly behind: {len(behind)} of {len(gaps)} others",
        finding="R@1 on complex pairs against the state before <|emb|>: "
        + "; ".join(f"{name} {points(found, sign=True)}" for name, found in gaps.items())
        + ".",
        seeds=len(tables.shared("position-before", *OTHERS.values())),
        tables=[("R@1 and R@5 in per cent", _frame(tables))],
        drawings=[
            ("Against the state before <|emb|>, complex pairs", forest(gaps, "difference in R@1, points"))
        ],
    )


def _frame(tables: Tables) -> pd.DataFrame:
    every = {"before <|emb|> (TRACE)": "position-before", **OTHERS}
    columns = [(group, k) for group in ("complex", "simple") for k in (1, 5)]
    pairs = {"complex": tables.complex_pairs, "simple": tables.simple_pairs}
    rows = [
        [points(recall(tables, variant, pairs[group], k=k)) for group, k in columns]
        for variant in every.values()
    ]
    return pd.DataFrame(rows, index=list(every), columns=[f"{group} R@{k}" for group, k in columns])
