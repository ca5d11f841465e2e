"""9. Leakage, labels and shortcuts: what the traces and routes are made of."""

import pandas as pd

from trace_retriever.evaluation.significance import Interval
from trace_retriever.experiments.answer import Answer
from trace_retriever.experiments.estimates import gain, judge, points, share
from trace_retriever.experiments.tables import Tables

CHANGES = {
    "labels by utility": "labels-utility",
    "teacher who saw the target (30 % wrong reasoning, right answers)": "teacher-sighted",
    "teacher who did not (30 % wrong answers, for the filter to find)": "teacher-blind",
}


def answer(tables: Tables) -> Answer:
    """Other labels and teachers against the chain's, and how often unseen simple pairs are made to reason."""
    gaps = {name: gain(tables, variant, "trace", tables.complex_pairs) for name, variant in CHANGES.items()}
    leak = gain(tables, "teacher-sighted", "teacher-blind", tables.complex_pairs)
    rows = {
        name: [points(gaps[name], sign=True), points(_simple(tables, variant), sign=True)]
        for name, variant in CHANGES.items()
    }
    rows["saw the target - did not"] = [points(leak, sign=True), ""]
    return Answer(
        number=9,
        title="Leakage and labels",
        claim="The teacher sees the target, routes follow the data set: the paper shows no harm from either.",
        verdict=_verdict(judge(leak)),
        finding="A teacher who saw the target, wrong in 30 % of its reasoning, against one who did "
        "not and whose "
        "wrong "
        f"answers the filter removes: {points(leak, sign=True)} points of R@1 on complex pairs; "
        "labels by utility "
        f"{points(gaps['labels by utility'], sign=True)} against the judge's.",
        seeds=min(len(tables.seeds[variant]) for variant in CHANGES.values()),
        paragraphs=[
            "A right answer hides a wrong reasoning from a filter that asks whether the trace "
            "finds its target. Labels "
            "by data set and by judge are the same here (each made pair is wholly simple or "
            "complex), so that only "
            "`utility` is a variant of its own.",
            _shortcut(tables),
        ],
        tables=[
            (
                "Difference in R@1 to the chain's labels and teacher, points",
                pd.DataFrame.from_dict(rows, orient="index", columns=["complex", "simple"]),
            ),
        ],
    )


def _simple(tables: Tables, variant: str) -> Interval:
    return gain(tables, variant, "trace", tables.simple_pairs)


def _verdict(leak: str) -> str:
    named = {"reversed": "harm found", "held": "the sighted teacher is better", "not seen": "no harm seen"}
    return named.get(leak, leak)


def _shortcut(tables: Tables) -> str:
    """How often pairs that training never showed, all simple, are taken for complex ones."""
    seeds = tables.seeds["trace"]
    rates = {
        pair: share(tables.values("trace", [pair], seeds, lambda rows: rows["reasons"]))
        for pair in tables.study.data.transfer_pairs
    }
    listed = ", ".join(f"{pair} {rate:.0%}" for pair, rate in rates.items())
    return (
        "The modality shortcut: every trained pair with picture and words is complex. Of simple "
        "pairs that were never "
        f"trained on, so many are made to reason: {listed} (pairs of task 6, 7 and 8 have picture and words)."
    )
