"""4. Should candidates reason too?"""

import pandas as pd

from trace_retriever.evaluation.significance import Interval
from trace_retriever.experiments.answer import Answer
from trace_retriever.experiments.drawings import forest
from trace_retriever.experiments.estimates import difference, gain, judge, mean, points
from trace_retriever.experiments.tables import Groups, Tables

UNTRAINED = {
    "written by the model": "written",
    "the true answer, given": "answer",
    "the true trace, given": "full",
}
TRAINED = {"trained to write the answer": "candidates-answer", "trained to write all": "candidates-full"}


def answer(tables: Tables) -> Answer:
    """Candidates that write, for a model that never learnt it, and for models that were trained to."""
    pairs = [*tables.simple_pairs, *tables.complex_pairs]
    lines = {name: _untrained(tables, pairs, side) for name, side in UNTRAINED.items()}
    for name, variant in TRAINED.items():
        lines[name] = gain(tables, variant, "trace", pairs)
    raw = mean(_ranks(tables, pairs, "raw"))
    asked, learnt = lines["written by the model"], lines["trained to write all"]
    return Answer(
        number=4,
        title="Candidates",
        claim="Candidates must stay raw: a trace on their side costs two thirds of the recall.",
        verdict=_verdict(asked, learnt),
        finding=f"Against raw candidates: {points(asked, sign=True)} points of R@1 where a model that never "
        "learnt it "
        f"writes for candidates, {points(learnt, sign=True)} where it was trained to.",
        seeds=len(tables.seeds["candidates"]),
        paragraphs=[
            f"R@1 with raw candidates, all trained pairs: {points(raw)}. The paper's loss (R@5 57 "
            "to 19) may be that "
            "of asking a model for what it was never trained to write, which is the first three "
            "lines here; the last "
            "two are trained with candidates that write.",
        ],
        tables=[("Difference in R@1 to raw candidates, points", _frame(lines))],
        drawings=[("R@1 against raw candidates", forest(lines, "difference in R@1, points"))],
    )


def _verdict(asked: Interval, learnt: Interval) -> str:
    if judge(asked) == "reversed" and judge(learnt) == "reversed":
        return "held"
    return "held only where it was not trained" if judge(asked) == "reversed" else judge(asked)


def _ranks(tables: Tables, pairs: list[str], side: str) -> Groups:
    return tables.values(
        "candidates", pairs, tables.seeds["candidates"], lambda rows: rows[f"rank_{side}"] <= 1
    )


def _untrained(tables: Tables, pairs: list[str], side: str) -> Interval:
    return difference(_ranks(tables, pairs, side), _ranks(tables, pairs, "raw"))


def _frame(lines: dict[str, Interval]) -> pd.DataFrame:
    return pd.DataFrame({"R@1": {name: points(found, sign=True) for name, found in lines.items()}})
