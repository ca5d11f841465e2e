"""Step `embed`: encode the candidate pools and the queries, once for all modes of the evaluation."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_retriever.config.embed import EmbedConfig
from trace_retriever.io.files import digest_tree, read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

    from trace_retriever.bulk.filling import Encoder, Filling
    from trace_retriever.bulk.tasks import CandidateTask, QueryTask
    from trace_retriever.engine.encoded import Reason
    from trace_retriever.model.settings import Settings

MODES = {"always": ["always", "auto", "never"], "auto": ["auto", "never"], "never": ["never"]}


def embed(
    config: EmbedConfig,
    *,
    dataset: Path,
    model: Path,
    previous: Path | None = None,
    out: Path,
    report: Path,
    work: Path,
) -> dict[str, Any]:
    """Fill `out` with vectors and tables of candidates and queries (`store.embeddings`); resumes from `work`.

    Several processes that are given one `work` share the work and end with the same bytes.

    Args:
        config: what is encoded, and how.
        dataset, model: directories.
        previous: embeddings, or a directory of several, from which is copied what has not changed.
        out, report, work: directories, `work` possibly shared.

    Returns:
        Counts and, per split and pair, how often and how long the model reasoned.

    Raises:
        CheckpointError: the model directory is not whole.
        ConfigError: a pair that the data set does not have.
        DataError: a broken record or picture, one did with two contents, or damaged previous embeddings.
    """
    from trace_retriever.model.checkpoint import check_checkpoint
    from trace_retriever.model.settings import Settings

    settings = Settings.load(model)
    settings.check_deployable(model)
    check_checkpoint(model)
    reason: Reason = "never" if settings.kind == "encoder" else config.reason
    candidates, queries = _tasks(config, reason, dataset, model, settings)
    dim = _dim(model)
    fillings = [_filling(config, task, previous, dim, work) for task in (candidates, queries)]
    encoder = _encoder(config, model)
    for filling, what in zip(fillings, ("candidates", f"queries ({reason} reasoning)"), strict=True):
        filling.run(encoder, what)
    for filling in fillings:
        filling.finish()
        filling.publish(out / filling.task.kind)
    about = {
        "dim": dim,
        "model": digest_tree(model),
        "kind": settings.kind,
        "prompt_index": config.prompt_index,
        "splits": list(config.splits),
        "pairs": list(config.pairs),
        "global_pool": config.global_pool,
        "reasons": MODES[reason],
        "part": config.part,
    }
    write_json(out / "embed.json", about)
    metrics = _summary(fillings)
    _write_report(report, metrics, about)
    return metrics


def _tasks(
    config: EmbedConfig, reason: "Reason", dataset: Path, model: Path, settings: "Settings"
) -> tuple["CandidateTask", "QueryTask"]:
    """What is to be encoded, each record with what its key is made of."""
    from trace_retriever.bulk.dataset import collect_candidates, collect_queries
    from trace_retriever.bulk.keys import Keys, way
    from trace_retriever.bulk.tasks import CandidateTask, QueryTask
    from trace_retriever.mbeir.layout import Layout
    from trace_retriever.model.pictures import CONFIG, PatchSpec, PictureReader

    layout = Layout(dataset)
    processor = read_json(model / CONFIG)
    pictures = PictureReader(PatchSpec.from_processor(processor, settings.min_pixels, settings.max_pixels))
    types = {"dtype": config.dtype, "store_dtype": config.store_dtype}
    traces = {"reason": reason, "limit": config.max_trace_tokens, "seconds": config.max_seconds}
    pool = collect_candidates(layout, config.splits, config.pairs, global_pool=config.global_pool)
    asked, files = collect_queries(layout, config.splits, config.pairs)
    return (
        CandidateTask(layout, pool, Keys(way("candidate", model, **types), pictures, config.workers)),
        QueryTask(
            layout,
            asked,
            files,
            Keys(way("query", model, **types, **traces), pictures, config.workers),
            config.prompt_index,
            reason,
        ),
    )


def _filling(
    config: EmbedConfig, task: "CandidateTask | QueryTask", previous: Path | None, dim: int, work: Path
) -> "Filling":
    import numpy as np

    from trace_retriever.bulk.filling import Filling
    from trace_retriever.store.previous import Previous

    return Filling(
        task=task,
        work=work / task.kind,
        previous=Previous.open(previous, task.kind),
        dim=dim,
        dtype=np.dtype(config.store_dtype),
        shard_rows=config.shard_rows,
        unit=config.chunk,
        part=config.split_part,
    )


def _dim(model: Path) -> int:
    """Length of an embedding, known without the weights."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    return int(config.text_config.hidden_size)


def _encoder(config: EmbedConfig, model: Path) -> "Encoder":
    """An encoder whose weights are read when it is first needed: where all is copied, never."""
    import torch

    from trace_retriever.engine.engine import Engine
    from trace_retriever.model.bundle import load_model

    @cache
    def engine() -> Engine:
        return Engine(
            load_model(model, device=config.device, dtype=getattr(torch, config.dtype)),
            slots=config.slots,
            batch_tokens=config.batch_tokens,
            max_trace_tokens=config.max_trace_tokens,
            max_seconds=config.max_seconds,
            workers=config.workers,
        )

    return lambda items, reason: engine().encode(items, reason=reason)


def _summary(fillings: "list[Filling]") -> dict[str, Any]:
    """Counts, and per split and pair how often and how long the model reasoned, and traces without an end."""
    per_split: dict[str, Any] = {}
    queries: pd.DataFrame = fillings[1].table().to_pandas()
    for (split, pair), rows in queries.groupby(["split", "pair"], sort=True):
        per_split.setdefault(str(split), {})[str(pair)] = {
            "queries": len(rows),
            "reasoning_rate": float((rows["auto_route"] == "complex").mean()),
            "trace_tokens": float(rows["trace_tokens"].mean()),
            "truncated": float(rows["truncated"].mean()),
            "given_up": float((rows["fallback"] != "").mean()),
        }
    return {
        **{filling.task.kind: filling.rows for filling in fillings},
        **{f"reused_{filling.task.kind}": filling.reused for filling in fillings},
        "splits": per_split,
    }


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
        f"{metrics['candidates']:,} candidates and {metrics['queries']:,} queries, "
        f"{about['dim']} dimensions. "
        f"Copied from earlier embeddings: {metrics['reused_candidates']:,} and {metrics['reused_queries']:,}."
    )
    if about["part"] is not None:
        text = f"Part {about['part']} only. {text}"
    modes = f"From these vectors the modes {', '.join(about['reasons'])} can be evaluated."
    body = join(paragraph(text), note(modes), table(pd.DataFrame(rows)))
    write_atomic(report / "report.html", page("Embeddings", [Section("What was encoded", body)]))
