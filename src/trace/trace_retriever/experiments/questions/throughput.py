"""2. What does accuracy cost?"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from trace_retriever.experiments.answer import Answer
from trace_retriever.experiments.drawings import curve
from trace_retriever.experiments.tables import Tables, rank_of
from trace_retriever.replay.tables import read_modes, read_table
from trace_retriever.replay.throughput import read_mix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cost = dict[str, float]
TWICE = 1.5  # what still counts as "about twice"
PAPER = {"mscoco": "MSCOCO", "cirr": "CIRR"}


def answer(tables: Tables, cost: Cost, paper: Path) -> Answer:
    """Recall and tokens of each way, queries a second from the engine's measured cost, and a budget's curve.

    Args:
        tables: what was found.
        cost: `direct_ms` and `trace_token_ms`, as the engine's benchmark measured them.
        paper: the published tables.
    """
    pairs = [*tables.simple_pairs, *tables.complex_pairs]
    rows = {pair: _pair(tables, pair, cost) for pair in pairs}
    frame = pd.DataFrame.from_dict(rows, orient="index")
    saved = frame["always: queries/s"].rdiv(frame["adaptive: queries/s"])
    return Answer(
        number=2,
        title="Accuracy against throughput",
        claim="Adaptive reasoning is about twice as fast as always reasoning, at better recall.",
        verdict=_verdict(saved[tables.simple_pairs], frame.loc[tables.simple_pairs]),
        finding=f"Adaptive serves {saved[tables.simple_pairs].mean():.1f} times the queries of always "
        "reasoning "
        "on "
        f"simple pairs and {saved[tables.complex_pairs].mean():.2f} times on complex ones, where "
        "nearly all reason.",
        seeds=len(tables.seeds["trace"]),
        paragraphs=[
            "Queries a second follow from counted tokens and the engine's measured cost of a direct query "
            f"({cost['direct_ms']:.2f} ms) and of a trace token ({cost['trace_token_ms']:.3f} ms) "
            "in batches on one "
            "thread: a model of the cost, not a measurement of these runs.",
            *(_paper(paper, *names) for names in PAPER.items()),
        ],
        tables=[("Each pair: share that reasons, tokens, queries a second, R@1 in per cent", frame)],
        drawings=[
            ("What a budget of tokens buys, complex and simple pairs together", _budget(tables, pairs))
        ],
    )


def _verdict(saved: "pd.Series[float]", simple: pd.DataFrame) -> str:
    """By what adaptive saves on simple pairs, and whether it finds as much there as always reasoning."""
    as_good = (simple["adaptive: R@1"] >= simple["always: R@1"]).all()
    return "held on simple pairs" if saved.mean() >= TWICE and as_good else "not seen"


def _pair(tables: Tables, pair: str, cost: Cost) -> dict[str, float]:
    seeds = tables.seeds["trace"]
    tables_ = [tables.read("trace", seed) for seed in seeds]
    rows = pd.concat([table[table["pair"] == pair] for table in tables_])
    reasoning = {
        "adaptive": rows["reasons"],
        "always": rows["reasons"] | True,
        "never": rows["reasons"] & False,
    }
    found: dict[str, float] = {"reasons": float(rows["reasons"].mean())}
    for way, flags in reasoning.items():
        tokens = float(rows["tokens"].where(flags, 0).mean())
        found[f"{way}: tokens"] = tokens
        found[f"{way}: queries/s"] = 1000 / (cost["direct_ms"] + cost["trace_token_ms"] * tokens)
        system = "auto" if way == "adaptive" else way
        found[f"{way}: R@1"] = 100 * float((rank_of(rows, system) <= 1).mean())
    return found


def _paper(folder: Path, dataset: str, title: str) -> str:
    """The paper's own figures, put through the same model: time is a mix of both kinds of query."""
    mix = read_mix(read_modes(folder), read_table(folder, "routing"), dataset)
    return (
        f"The paper's {title}: {mix.direct} queries/s direct and {mix.always} always; with {mix.share:.0%} "
        f"reasoning that predicts {mix.predicted:.1f} adaptive, and {mix.adaptive} were measured."
    )


def _budget(tables: Tables, pairs: list[str]) -> "Figure":
    """Recall when only the queries with the least P(<|emb|>) may reason, and when chance decides who may."""
    seeds = tables.seeds["trace"]
    rows = pd.concat([tables.read("trace", seed).assign(seed=seed) for seed in seeds])
    rows = rows[rows["pair"].isin(pairs)].sort_values(["p_emb", "seed", "pair", "qid"])
    direct, reasoned = ((rows[f"rank_{name}"] <= 1).to_numpy(float) for name in ("direct", "reasoned"))
    tokens, total = rows["tokens"].to_numpy(float), len(rows)
    steps = np.linspace(0, total, 21).astype(int)
    spent = [float(tokens[:step].sum() / total) for step in steps]
    by_route = [100 * float((reasoned[:step].sum() + direct[step:].sum()) / total) for step in steps]
    share = steps / total
    by_chance = [100 * float(part * reasoned.mean() + (1 - part) * direct.mean()) for part in share]
    chance_tokens = [float(part * tokens.mean()) for part in share]
    series = {"the model's route": (spent, by_route), "chance": (chance_tokens, by_chance)}
    return curve(series, "trace tokens a query", "R@1, %, all queries")
