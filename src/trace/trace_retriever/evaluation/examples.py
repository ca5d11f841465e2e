"""Queries shown with pictures: what was asked, what the model wrote, what it found. The worst come first."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from trace_retriever.evaluation.runs import read_run
from trace_retriever.io.html import join, paragraph, picture, plain
from trace_retriever.io.images import resolve_inside
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.mbeir.records import Query, Truth
from trace_retriever.store.embeddings import Embeddings

if TYPE_CHECKING:
    import pandas as pd

SHOWN_RESULTS = 5
NOT_FOUND = 1_000_000  # sorts behind any rank


def worst(queries: "pd.DataFrame", count: int, system: str) -> "pd.DataFrame":
    """The queries with the worst ranks in the local pool, two a pair before any third; worst first."""
    rows = queries[(queries["system"] == system) & (queries["pool"] == "local")].copy()
    rows["order"] = rows["rank"].where(rows["rank"] > 0, NOT_FOUND)
    rows = rows.sort_values(["order", "pair", "qid"], ascending=[False, True, True], kind="stable")
    rows["turn"] = rows.groupby("pair", sort=False).cumcount() // 2
    rows = rows.sort_values("turn", kind="stable").head(count)
    return rows.sort_values(["order", "pair", "qid"], ascending=[False, True, True], kind="stable")


def show_examples(
    layout: Layout,
    embeddings: Embeddings,
    queries: "pd.DataFrame",
    runs: Path,
    *,
    split: Split,
    count: int,
    system: str,
) -> Markup:
    """The worst queries of a system as markup.

    Args:
        layout, embeddings: of the evaluation.
        queries: its per-query records.
        runs: its run files.
        split, count, system: which queries, how many, found by which system.
    """
    chosen = worst(queries, count, system)
    others = queries[(queries["pool"] == "local") & (queries["system"] != system)]
    ranks: dict[str, list[str]] = {}
    for qid, other, rank in others.loc[
        others["qid"].isin(chosen["qid"]), ["qid", "system", "rank"]
    ].to_numpy():
        ranks.setdefault(qid, []).append(f"{other} {_rank(rank)}")
    truths = layout.truth(split) or {}
    parts = []
    row: Any
    for row in chosen.itertuples():
        other_ranks = ", ".join(ranks.get(row.qid, []))
        parts.append(
            _example(layout, embeddings, row, runs / system, truths.get(row.qid), other_ranks, split)
        )
    return join(*parts)


def _example(
    layout: Layout,
    embeddings: Embeddings,
    row: Any,
    runs: Path,
    truth: Truth | None,
    others: str,
    split: Split,
) -> Markup:
    pair = Pair.parse(row.pair)
    query = next(found for found in layout.queries(pair, split) if found.qid == row.qid)
    table = embeddings.query_table
    trace = table.loc[(table["qid"] == row.qid) & (table["split"] == split), "trace"].iloc[0]
    lines = [
        Markup("<h3>{} · {} · rank {}</h3>").format(row.pair, row.qid, _rank(row.rank)),
        _asked(layout, query),
        paragraph(f"Routed {row.route}" + (f", truly {row.true_route}." if row.true_route else ".")),
    ]
    if row.trace_tokens:
        lines.append(paragraph(f"Trace: {trace}" + (" (cut at the limit)" if row.truncated else "")))
    if truth is not None and truth.text:
        lines.append(paragraph(f"True trace: {truth.text}"))
    lines.append(_results(layout, embeddings, runs / f"{row.pair}.trec", row.qid, query))
    if others:
        lines.append(paragraph(f"Rank by other systems: {others}."))
    return join(*lines)


def _asked(layout: Layout, query: Query) -> Markup:
    image = picture(resolve_inside(layout.root, query.query_img_path)) if query.query_img_path else Markup("")
    return Markup("<p>{} {}</p>").format(image, query.query_txt or "")


def _results(layout: Layout, embeddings: Embeddings, run: Path, qid: str, query: Query) -> Markup:
    """The first results side by side, positives marked; after them the positives that are not among them."""
    first = [line.did for line in read_run(run).get(qid, [])[:SHOWN_RESULTS]]
    missed = [did for did in query.pos_cand_list if did not in first][:2]
    cells = []
    for number, did in enumerate([*first, *missed], start=1):
        name = f"{number}" if did in first else "wanted"
        good = " ✓" if did in query.pos_cand_list and did in first else ""
        shown = _candidate(layout, embeddings.candidate(did))
        cells.append(Markup("<td>{}{}<br>{}</td>").format(name, good, shown))
    return Markup('<div class="wide"><table><tr>{}</tr></table></div>').format(Markup("").join(cells))


def _candidate(layout: Layout, row: dict[str, Any] | None) -> Markup:
    if row is None:
        return Markup("not in any pool")
    parts = []
    if row["img_path"]:
        parts.append(picture(resolve_inside(layout.root, row["img_path"]), 72))
    if row["text"]:
        parts.append(plain(row["text"]))
    return Markup("<br>").join(parts)


def _rank(rank: int) -> str:
    return str(rank) if rank > 0 else "beyond the depth"
