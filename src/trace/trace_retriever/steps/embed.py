"""Step `embed`: encode the candidate pools and the queries, once for all modes of the evaluation."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_retriever.config.embed import EmbedConfig
from trace_retriever.io.files import digest_tree, write_json

if TYPE_CHECKING:
    import pandas as pd

MODES = {"always": ["always", "auto", "never"], "auto": ["auto", "never"], "never": ["never"]}


def embed(
    config: EmbedConfig, *, dataset: Path, model: Path, out: Path, report: Path, work: Path
) -> dict[str, Any]:
    """Fill `out` with vectors and tables of candidates and queries (see `search.store`); resumes from `work`.

    Returns:
        Counts and, per split and pair, how often and how long the model reasoned.

    Raises:
        CheckpointError: the model directory is not whole.
        ConfigError: a pair that the data set does not have.
        DataError: a broken record or picture, or one did with two contents.
    """
    import pandas as pd
    import torch

    from trace_retriever.engine.dataset import (
        candidate_chunks,
        collect_candidates,
        collect_queries,
        query_chunks,
    )
    from trace_retriever.engine.encode import encode
    from trace_retriever.mbeir.layout import Layout
    from trace_retriever.model.bundle import load_model

    layout = Layout(dataset)
    candidates = collect_candidates(layout, config.splits, config.pairs, global_pool=config.global_pool)
    queries = collect_queries(layout, config.splits, config.pairs)
    bundle = load_model(model, device=config.device, dtype=getattr(torch, config.dtype))
    reason = "never" if bundle.settings.kind == "encoder" else config.reason
    pool_work = candidate_chunks(layout, candidates, work=work / "candidates", size=config.chunk)
    pool_work.run(
        lambda items: encode(bundle, items, reason="never", batch_tokens=config.batch_tokens, what=None),
        "candidates",
    )
    pool_work.gather(out / "candidates.npy", out / "candidates.parquet")
    query_work = query_chunks(
        layout, queries, prompt_index=config.prompt_index, work=work / "queries", size=config.chunk
    )
    query_work.run(
        lambda items: encode(
            bundle,
            items,
            reason=reason,
            max_trace_tokens=config.max_trace_tokens,
            batch_tokens=config.batch_tokens,
            what=None,
        ),
        f"queries ({reason} reasoning)",
    )
    query_work.gather(out / "queries.npy", out / "queries.parquet")
    about = {
        "dim": bundle.dim,
        "model": digest_tree(model),
        "kind": bundle.settings.kind,
        "prompt_index": config.prompt_index,
        "splits": list(config.splits),
        "pairs": list(config.pairs),
        "global_pool": config.global_pool,
        "reasons": MODES[reason],
    }
    write_json(out / "embed.json", about)
    metrics = _summary(pd.read_parquet(out / "queries.parquet"), len(candidates))
    _write_report(report, metrics, about)
    return metrics


def _summary(queries: "pd.DataFrame", candidates: int) -> dict[str, Any]:
    """Counts, and per split and pair the share of complex routes, mean trace tokens and truncated traces."""
    per_split: dict[str, Any] = {}
    for (split, pair), rows in queries.groupby(["split", "pair"], sort=True):
        per_split.setdefault(str(split), {})[str(pair)] = {
            "queries": len(rows),
            "reasoning_rate": float((rows["auto_route"] == "complex").mean()),
            "trace_tokens": float(rows["trace_tokens"].mean()),
            "truncated": float(rows["truncated"].mean()),
        }
    return {"candidates": candidates, "queries": len(queries), "splits": per_split}


def _write_report(report: Path, metrics: dict[str, Any], about: dict[str, Any]) -> None:
    import pandas as pd

    from trace_retriever.io.files import write_atomic
    from trace_retriever.io.html import Section, join, note, page, paragraph, table

    rows = [
        {"split": split, "pair": pair, **figures}
        for split, pairs in metrics["splits"].items()
        for pair, figures in pairs.items()
    ]
    text = (
        f"{metrics['candidates']:,} candidates and {metrics['queries']:,} queries, {about['dim']} dimensions."
    )
    modes = f"From these vectors the modes {', '.join(about['reasons'])} can be evaluated."
    body = join(paragraph(text), note(modes), table(pd.DataFrame(rows)))
    write_atomic(report / "report.html", page("Embeddings", [Section("What was encoded", body)]))
