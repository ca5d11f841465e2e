"""The evaluation as one HTML page: figures with intervals, differences, routes, pools, seeds, examples."""

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from trace_retriever.evaluation import plots
from trace_retriever.evaluation.route_report import route_control
from trace_retriever.evaluation.router_report import router
from trace_retriever.evaluation.seeds import over_seeds, systems_of
from trace_retriever.io.html import Section, figure, join, note, page, paragraph, table

if TYPE_CHECKING:
    import pandas as pd

WHAT = {
    "auto": "the model routes by itself: simple queries at once, complex ones after a trace",
    "never": "every query by its direct vector",
    "always": "every query after a trace",
    "oracle": "as auto, with the true routes",
    "budget": "as auto, by a threshold on P(<|emb|>) that another split chose, within a budget if one is set",
    "blend": "as auto, the direct vector mixed into the reasoned one by weights chosen on another split",
    "encoder": "the encoder-only baseline, trained from the same backbone without traces",
}


def render(
    results: dict[str, Any],
    queries: "pd.DataFrame",
    curve: "pd.DataFrame | None",
    seeds: dict[int, Any] | None,
    examples: Markup,
) -> str:
    """The whole page.

    Args:
        results: see `summary.summarise`.
        queries: per-query records.
        curve: see `curve.route_curve`; None where no threshold could be chosen.
        seeds: see `seeds.read_seeds`; None where there are none.
        examples: see `examples.show_examples`.
    """
    sections = [
        Section("Headline figures", _headline(results)),
        Section("Differences", _differences(results)),
        Section("Routing and traces", _routing(results, queries)),
        Section("Route control", route_control(results, curve)),
        Section("Reliability of the router", router(results["router"])),
        Section("Local and global pool", _pools(results)),
        Section("Blend", _blend(results["blend"])),
        Section("Training seeds", _seeds(seeds, results)),
        Section("Examples, the worst first", examples),
    ]
    return page("Evaluation", sections)


def _text(value: dict[str, float], sign: bool = False) -> str:
    form = "{:+.3f} [{:+.3f}, {:+.3f}]" if sign else "{:.3f} [{:.3f}, {:.3f}]"
    return form.format(value["mean"], value["low"], value["high"])


def _headline(results: dict[str, Any]) -> Markup:
    import pandas as pd

    local = {name: pools["local"] for name, pools in results["systems"].items()}
    rows = [
        {"pair": pair, "route": about["true_route"], "k": about["headline_k"], "queries": about["queries"]}
        | {system: _text(found["pairs"][pair]["headline"]) for system, found in local.items()}
        for pair, about in results["pairs"].items()
    ]
    rows.append(
        {"pair": "average"} | {name: _text(found["average"]["headline"]) for name, found in local.items()}
    )
    frame = pd.DataFrame(rows).astype({"k": "Int64", "queries": "Int64"})
    first = pd.DataFrame(
        [
            {"pair": pair} | {name: found["pairs"][pair]["hit_1"] for name, found in local.items()}
            for pair in results["pairs"]
        ]
        + [{"pair": "average"} | {name: found["average"]["hit_1"]["mean"] for name, found in local.items()}]
    )
    means = {
        name: {pair: figures["headline"]["mean"] for pair, figures in found["pairs"].items()}
        for name, found in local.items()
    }
    return join(
        *(paragraph(f"{name}: {WHAT[name]}.") for name in local),
        note(
            "M-BEIR's headline figure: hit@k in the pair's own pool; 95 % bootstrap intervals over queries."
        ),
        table(frame),
        figure(plots.bars(means, list(results["pairs"])), "Headline figure per pair and system"),
        table(first, caption="R@1 (hit@1), local pool"),
    )


def _differences(results: dict[str, Any]) -> Markup:
    import pandas as pd

    routes = {pair: about["true_route"] for pair, about in results["pairs"].items()}
    found = results["differences"]
    if not found:
        return paragraph("Only one system was scored.")
    parts = [note("Paired bootstrap over the same queries. An interval that holds 0 shows no difference.")]
    for measure, name in (("headline", "headline figure"), ("hit_1", "R@1")):
        rows = [
            {"pair": pair, "route": route}
            | {key: _text(value[measure]["pairs"][pair], sign=True) for key, value in found.items()}
            for pair, route in routes.items()
        ]
        rows.append(
            {"pair": "average"} | {k: _text(v[measure]["average"], sign=True) for k, v in found.items()}
        )
        parts.append(table(pd.DataFrame(rows), caption=f"Differences of the {name}, local pool"))
    for key in ("auto-never", "auto-encoder"):
        if key in found:
            title = key.replace("-", " minus ")
            parts.append(
                figure(plots.forest(found[key]["headline"], routes, title), f"Forest plot of {title}")
            )
    return join(*parts)


def _routing(results: dict[str, Any], queries: "pd.DataFrame") -> Markup:
    import pandas as pd

    systems = results["systems"]
    if "auto" not in systems:
        return paragraph("The vectors were made without reasoning.")
    local = queries[(queries["pool"] == "local") & (queries["system"] == "auto")]
    right = (local["route"] == local["true_route"]).where(local["true_route"].notna())
    by_pair = right.astype(float).groupby(local["pair"]).mean()
    rows = [
        {
            "pair": pair,
            "route": results["pairs"][pair]["true_route"],
            "reasoning rate": figures["reasoning_rate"],
            "routed rightly": float(by_pair[pair]),
            "trace exact": figures["trace_exact"],
            "tokens a query": figures["trace_tokens"],
            "truncated": figures["truncated"],
        }
        for pair, figures in systems["auto"]["local"]["pairs"].items()
    ]
    parts = [
        table(pd.DataFrame(rows), caption="The system auto; traces are compared with the true ones if known"),
        figure(plots.router(local), "How sure the router is"),
    ]
    if local["true_route"].notna().any():
        parts.append(figure(plots.reliability(local), "Reliability of the router's probability"))
    return join(*parts)


def _pools(results: dict[str, Any]) -> Markup:
    import pandas as pd

    rows = []
    for pair, about in results["pairs"].items():
        row = {"pair": pair, "pool size": about["pool_size"], "reachable positives": about["reachability"]}
        for system in ("auto", "never", "encoder"):
            for pool, found in results["systems"].get(system, {}).items():
                row[f"{system}, {pool}"] = found["pairs"][pair]["headline"]["mean"]
                if pool == "global":
                    row[f"{system}, wrong modality"] = found["pairs"][pair]["wrong_modality"]
        rows.append(row)
    text = "A positive that the pair's own pool does not hold cannot be found: hit@k hides this."
    return join(note(text), table(pd.DataFrame(rows), caption="Headline figure, and share of the first ten"))


def _blend(choice: dict[str, Any] | None) -> Markup:
    if choice is None:
        return paragraph("No blend: the split to choose it on was not embedded, or without reasoning.")
    low, high, threshold = choice["low"], choice["high"], choice["threshold"]
    weights = f"{low:.1f}"
    if threshold is not None:
        weights = f"{low:.1f} below and {high:.1f} from confidence {threshold:.3f}"
    gain = choice["gain_over_auto"]
    verdict = f"a gain of {gain:.4f} on its average" if gain > 0 else "no weight did clearly better than auto"
    return paragraph(
        f"Chosen on {choice['split']}, where {choice['reasoning_queries']} queries reason: weight of the "
        f"reasoned vector {weights}; {verdict}."
    )


def _seeds(seeds: dict[int, Any] | None, results: dict[str, Any]) -> Markup:
    import pandas as pd

    if seeds is None:
        return paragraph("One training seed; no file of other seeds was given.")
    systems = systems_of(seeds)
    options = results["bootstrap"]
    groups = _groups(systems, results)
    parts = [
        note(
            f"Training seeds {', '.join(map(str, seeds))}; 95 % intervals over seeds and queries "
            "(hierarchical bootstrap)."
        )
    ]
    for measure, name in (("headline", "Headline figure"), ("hit_1", "R@1")):
        rows = [
            {"pair": group}
            | {
                system: _text(over_seeds(seeds, pairs, system, measure=measure, **options).as_dict())
                for system in systems
            }
            for group, pairs in groups.items()
        ]
        parts.append(table(pd.DataFrame(rows), caption=f"{name} over seeds, local pool"))
        compared = [other for other in ("never", "always", "encoder") if {"auto", other} <= set(systems)]
        rows = [
            {"pair": group}
            | {
                f"auto-{other}": _text(
                    over_seeds(seeds, pairs, "auto", other, measure=measure, **options).as_dict(), sign=True
                )
                for other in compared
            }
            for group, pairs in groups.items()
        ]
        if compared:
            parts.append(table(pd.DataFrame(rows), caption=f"Differences of the {name} over seeds"))
    return join(*parts)


def _groups(systems: dict[str, list[str]], results: dict[str, Any]) -> dict[str, list[str]]:
    """What the seeds table has a row for: each pair that all systems have, and the averages over them."""
    common = [pair for pair in results["pairs"] if all(pair in pairs for pairs in systems.values())]
    groups = {pair: [pair] for pair in common}
    for route in ("simple", "complex"):
        if members := [pair for pair in common if results["pairs"][pair]["true_route"] == route]:
            groups[f"average of {route} pairs"] = members
    return groups | ({"average": common} if common else {})
