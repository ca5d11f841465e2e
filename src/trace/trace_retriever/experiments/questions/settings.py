"""6. What of the recipe matters: parts of the trace, weights, temperature, adapters, data, size."""

from typing import TYPE_CHECKING

import pandas as pd

from trace_retriever.experiments.answer import Answer
from trace_retriever.experiments.drawings import curve, forest
from trace_retriever.experiments.estimates import gain, judge, points, recall
from trace_retriever.experiments.tables import Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANGES = {
    "no trace": "part-none",
    "answer alone": "part-answer",
    "reasoning alone": "part-reasoning",
    "λ_gen 0": "lambda-0",
    "λ_gen 0.5": "lambda-half",
    "λ_gen 2": "lambda-2",
    "temperature 0.02": "temperature-002",
    "temperature 0.1": "temperature-01",
    "temperature learned": "temperature-learned",
    "LoRA (rank 16)": "lora",
    "half of the queries": "data-half",
    "a quarter of the queries": "data-quarter",
    "half as wide": "small",
}
PARTS = ("no trace", "answer alone", "reasoning alone")


def answer(tables: Tables) -> Answer:
    """Each change against the whole recipe, same seeds."""
    known = {name: variant for name, variant in CHANGES.items() if tables.shared(variant, "trace")}
    gaps = {name: gain(tables, variant, "trace", tables.complex_pairs) for name, variant in known.items()}
    verdicts = {name: judge(gaps[name]) for name in PARTS}
    simple = {name: gain(tables, variant, "trace", tables.simple_pairs) for name, variant in known.items()}
    rows = {
        name: [points(gaps[name], sign=True), points(simple[name], sign=True), len(tables.seeds[known[name]])]
        for name in known
    }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["complex R@1", "simple R@1", "seeds"])
    behind = [name for name, verdict in verdicts.items() if verdict == "reversed"]
    return Answer(
        number=6,
        title="Parts of the recipe",
        claim="Reasoning and answer together are best; λ_gen 1 is best of 0, 0.5, 1 and 2.",
        verdict="held" if len(behind) == len(PARTS) else f"clearly behind: {', '.join(behind) or 'none'}",
        finding="R@1 on complex pairs against the whole trace: "
        + "; ".join(f"{name} {points(gaps[name], sign=True)}" for name in PARTS)
        + ".",
        seeds=min(len(tables.seeds[variant]) for variant in known.values()),
        paragraphs=[
            "With λ_gen 0 nothing teaches the model to write or to stop; it is then as a model "
            "without traces that "
            "is asked to write all the same. The learning rate of LoRA (0.004) was not tuned.",
            "Thirteen changes are looked at and the intervals are not corrected for that: one in "
            "twenty would seem "
            "clear by chance.",
        ],
        tables=[("Difference to the whole recipe, points with 95 % intervals", frame)],
        drawings=[
            ("Complex pairs, against the whole recipe", forest(gaps, "difference in R@1, points")),
            ("What more training queries bring", _data_curve(tables)),
        ],
    )


def _data_curve(tables: Tables) -> "Figure":
    """R@1 by the share of queries, for the trained pairs of each route."""
    shares = {0.25: "data-quarter", 0.5: "data-half", 1.0: "trace"}
    groups = {"complex pairs": tables.complex_pairs, "simple pairs": tables.simple_pairs}
    x = [share for share, name in shares.items() if tables.seeds.get(name)]
    series = {
        label: (x, [100 * recall(tables, shares[share], pairs).mean for share in x])
        for label, pairs in groups.items()
    }
    return curve(series, "share of the training queries (equal updates)", "R@1, %", log=True)
