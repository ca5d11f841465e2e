"""3. Does what is learnt carry over to what training never showed?"""

import numpy as np
import pandas as pd

from trace_retriever.evaluation.significance import Interval
from trace_retriever.experiments.answer import Answer
from trace_retriever.experiments.estimates import difference, gain, judge, mean, points, recall
from trace_retriever.experiments.tables import Groups, Tables, rank_of


def answer(tables: Tables) -> Answer:
    """New combinations, a new wording, new pairs: TRACE against the encoder on each."""
    seeds = tables.shared("trace", "encoder")
    lines = {
        "complex, combinations known": _combinations(tables, seeds, unseen=False),
        "complex, combinations never trained": _combinations(tables, seeds, unseen=True),
        "complex, an instruction never trained": _wording(tables, tables.complex_pairs),
        "simple, an instruction never trained": _wording(tables, tables.simple_pairs),
    }
    for pair in tables.study.data.transfer_pairs:
        ours, theirs = (recall(tables, name, [pair]) for name in ("trace", "encoder"))
        lines[f"pair never trained: {pair}"] = ours, theirs, gain(tables, "trace", "encoder", [pair])
    unseen = lines["complex, combinations never trained"][2]
    new = tables.study.data.transfer_pairs
    return Answer(
        number=3,
        title="Transfer",
        claim="Reasoning generalises: zero-shot on unseen data sets TRACE is ahead on most.",
        verdict=_verdict(unseen, [lines[f"pair never trained: {pair}"][2] for pair in new]),
        finding=f"On combinations of operations and relations that training never showed, R@1 "
        f"{points(unseen, sign=True)} points against the encoder; pairs never trained on: "
        + "; ".join(f"{pair} {points(lines[f'pair never trained: {pair}'][2], sign=True)}" for pair in new)
        + ".",
        seeds=len(seeds),
        paragraphs=[
            "Test scenes are never those of training. `Never trained` combinations are pairs of "
            "edit operations, "
            "chains of relations, and places of a thing that the generator keeps for test. The "
            "wording is the fourth "
            "instruction of each pair; its words are known to the backbone.",
            "Languages: the tiny model's vocabulary is a short list of English words. "
            "OpenMoji's names in other "
            "languages would all be unknown words, so that this scale cannot tell.",
        ],
        tables=[("R@1 in per cent with 95 % intervals", _frame(lines))],
    )


def _verdict(unseen: Interval, pairs: list[Interval]) -> str:
    """New combinations and new pairs are two questions."""
    found = [judge(one) for one in pairs]
    return (
        f"combinations: {judge(unseen)}; new pairs: {found.count('held')} ahead, "
        f"{found.count('reversed')} behind"
    )


Line = tuple[Interval, Interval, Interval]


def _combinations(tables: Tables, seeds: list[int], *, unseen: bool) -> Line:
    ours, theirs = (_hits(tables, name, seeds, unseen=unseen) for name in ("trace", "encoder"))
    return mean(ours), mean(theirs), difference(ours, theirs)


def _hits(tables: Tables, name: str, seeds: list[int], *, unseen: bool) -> Groups:
    def value(rows: pd.DataFrame) -> pd.Series:
        chosen = rows[(rows["held_out"] != "") == unseen]
        return rank_of(chosen, "auto") <= 1

    found = tables.values(name, tables.complex_pairs, seeds, value)
    return [group for group in found if group.shape[1]]


def _wording(tables: Tables, pairs: list[str]) -> Line:
    """With the spared instruction; the probe's table holds both variants."""

    def hits(name: str) -> Groups:
        def value(rows: pd.DataFrame) -> np.ndarray:
            return np.asarray(rank_of(rows[rows["variant"] == name], "auto") <= 1)

        return tables.values("wording", pairs, tables.seeds["wording"], value)

    ours, theirs = hits("trace"), hits("encoder")
    return mean(ours), mean(theirs), difference(ours, theirs)


def _frame(lines: dict[str, Line]) -> pd.DataFrame:
    rows = [[points(ours), points(theirs), points(gap, sign=True)] for ours, theirs, gap in lines.values()]
    return pd.DataFrame(rows, index=list(lines), columns=["TRACE", "encoder-only", "difference"])
