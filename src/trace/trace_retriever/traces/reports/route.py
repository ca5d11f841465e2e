"""What step `route` reports: shares, agreement of the strategies, and shortcuts."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trace_retriever.config.route import RouteConfig, Strategy
from trace_retriever.io.html import Section, figure, join, note, page, paragraph, table
from trace_retriever.mbeir.layout import Layout
from trace_retriever.traces.examples import Example, numbers_of
from trace_retriever.traces.judgements import ROUTES, Judgements
from trace_retriever.traces.reports.shown import shown_query
from trace_retriever.traces.routing import Labels
from trace_retriever.traces.shortcuts import agreement_of, outsides, shortcut_scores_of

EXAMPLES = 8


def route_metrics(
    config: RouteConfig,
    layout: Layout,
    examples: Sequence[Example],
    labels: Mapping[Strategy, Labels],
    routes: pd.DataFrame,
) -> dict[str, Any]:
    """Counts, agreement, shortcut scores; where the data set has a truth, agreement with it as well."""
    numbers = numbers_of(examples)
    said = {
        name: Judgements.of(found.judgements).at(numbers)[0]
        for name, found in labels.items()
        if found.skipped is None
    }
    chosen = (routes["route"] == "complex").to_numpy().astype(np.int8)
    looks = outsides(examples)
    metrics: dict[str, Any] = {
        "strategy": config.strategy,
        "queries": len(routes),
        "complex": int((routes["route"] == "complex").sum()),
        "complex_share": float((routes["route"] == "complex").mean()),
        "labelled_by_dataset_instead": int((routes["strategy"] != config.strategy).sum()),
        "splits": _counts(routes, "split"),
        "pairs": _counts(routes, "pair"),
        "agreement": {
            f"{one}-{other}": agreement_of(said[one], said[other]) for one, other in combinations(said, 2)
        },
        "shortcut": {
            "chosen": shortcut_scores_of(looks, chosen, config.seed),
            **{name: shortcut_scores_of(looks, found, config.seed) for name, found in said.items()},
        },
        "failures": {name: found.failures for name, found in labels.items()},
        "skipped": {name: found.skipped for name, found in labels.items() if found.skipped},
    }
    if (truth := _truth(layout, config)) is not None:
        true_N = np.array(
            [ROUTES.index(truth[qid]) if qid in truth else -1 for qid in routes["qid"]], np.int8
        )
        metrics["truth"] = {name: agreement_of(found, true_N) for name, found in said.items()}
    return metrics


def _truth(layout: Layout, config: RouteConfig) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for split in config.splits:
        if (truth := layout.truth(split)) is None:
            return None
        found |= {qid: row.route for qid, row in truth.items()}
    return found


def _counts(routes: pd.DataFrame, column: str) -> dict[str, dict[str, int]]:
    return {
        str(name): {"queries": len(rows), "complex": int((rows["route"] == "complex").sum())}
        for name, rows in routes.groupby(column, sort=True)
    }


def route_page(
    config: RouteConfig, metrics: dict[str, Any], examples: Sequence[Example], routes: pd.DataFrame
) -> str:
    """The report as HTML."""
    sections = [
        _summary(config, metrics),
        _agreement(metrics),
        _shortcuts(metrics),
        *_disagreements(examples, routes),
    ]
    return page("Routes: which queries need reasoning", sections)


def _summary(config: RouteConfig, metrics: dict[str, Any]) -> Section:
    pairs = pd.DataFrame.from_dict(metrics["pairs"], orient="index")
    pairs["share complex"] = pairs["complex"] / pairs["queries"]
    text = (
        f"{metrics['complex']:,} of {metrics['queries']:,} queries ({metrics['complex_share']:.1%}) are "
        f"complex by strategy “{config.strategy}”; {metrics['labelled_by_dataset_instead']:,} that it "
        "could not label took the data set's label."
    )
    return Section(
        "Labels",
        join(paragraph(text), table(pairs), figure(_bars(pairs), "Share of complex queries by pair")),
    )


def _bars(pairs: pd.DataFrame) -> Figure:
    drawing = Figure(figsize=(7, 0.6 + 0.28 * len(pairs)))
    axes = drawing.subplots()
    axes.barh(range(len(pairs)), pairs["share complex"], color="#1f6feb")
    axes.set_yticks(range(len(pairs)), [str(name) for name in pairs.index])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of complex queries")
    axes.spines[["top", "right"]].set_visible(False)
    return drawing


def _agreement(metrics: dict[str, Any]) -> Section:
    parts = []
    if metrics["agreement"]:
        parts.append(
            table(pd.DataFrame.from_dict(metrics["agreement"], orient="index"), caption="Between strategies")
        )
    if "truth" in metrics:
        parts.append(
            table(
                pd.DataFrame.from_dict(metrics["truth"], orient="index"),
                caption="With the truth of the made data set",
            )
        )
    parts += [
        note(f"Strategy {name} was not computed: {reason}.") for name, reason in metrics["skipped"].items()
    ]
    for name, failures in metrics["failures"].items():
        parts += [
            note(f"Strategy {name} has no label for {count:,} queries: {why}.")
            for why, count in failures.items()
        ]
    parts.append(
        note(
            "Kappa is agreement beyond chance. Strategy utility sees a query's words, never its picture: a "
            "trace that says what a picture shows counts as a gain, so it calls picture queries complex too "
            "readily; a query for which the teacher has no trace cannot gain."
        )
    )
    return Section("Do the strategies agree?", join(*parts))


def _shortcuts(metrics: dict[str, Any]) -> Section:
    scores = pd.DataFrame.from_dict(metrics["shortcut"], orient="index")
    text = (
        "Cross-validated balanced accuracy of guessing the label from the outside of a query alone: 0.5 is a "
        "coin, 1 means that a model could route without looking at what is asked."
    )
    return Section("Could the label be guessed?", join(paragraph(text), table(scores.astype(float))))


def _disagreements(examples: Sequence[Example], routes: pd.DataFrame) -> list[Section]:
    own = routes[["dataset_route", "judge_route", "utility_route"]]
    several = own.nunique(axis=1) > 1
    if not several.any():
        return []
    picked = routes[several].groupby("pair", sort=True).head(2).head(EXAMPLES)
    rows = [
        {
            "query": shown_query(examples[place]),
            **{name: row[f"{name}_route"] for name in ("dataset", "judge", "utility")},
        }
        for place, row in zip(picked.index.tolist(), picked.to_dict("records"), strict=True)
    ]
    text = f"{int(several.sum()):,} queries are labelled differently by different strategies; some of them:"
    return [Section("Where they differ", join(paragraph(text), table(pd.DataFrame(rows))))]
